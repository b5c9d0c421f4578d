const HOST = Symbol.for('isopod.host')

/**
 * A handler for `createServerFn().handler(...)` that runs the native function `name` in a fn worker.
 *
 * The call ends with `signal`, or with the request that made it. It rejects with the host's
 * `NativeError`, which has a `status`; outside the gateway, with a `MissingHostError`.
 *
 * @param {string} name as registered by the fn worker, such as `'threads.list'`
 */
export function native(name) {
  if (typeof name !== 'string' || name === '') {
    throw new TypeError("native() takes the name of a registered function, such as native('threads.list')")
  }
  return async function callNative({ data, signal, request } = {}) {
    const host = globalThis[HOST]
    if (!host) throw new MissingHostError(name)
    return host.callNative(name, data, { signal: signal ?? request?.signal })
  }
}

/** A native function was called where no gateway answers: in Node, or under `vite dev`. */
export class MissingHostError extends Error {
  name = 'MissingHostError'
  code = 'ERR_ISOPOD_NO_HOST'

  /** @param {string} functionName */
  constructor(functionName) {
    super(
      `The native function '${functionName}' runs in the Isopod gateway, which is not here. ` +
        'Build the app with `vite build`, then start it with `gateway --app dist`.',
    )
  }
}
