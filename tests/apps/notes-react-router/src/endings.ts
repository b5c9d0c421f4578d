/** How renders ended on this isolate, for the tests to read: by `onError`'s code, and when the signal aborted. */
export const endings: { code: string; name: string; route: string; elapsed: number }[] = []
