// What `node:console` asks for: the console that this isolate has.
export const windowOrWorkerGlobalScope = { console: { value: globalThis.console } };
