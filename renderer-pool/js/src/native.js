const HOST = Symbol.for('isopod.host')

/**
 * A handler for `createServerFn().handler(...)` that runs the native function `name` in a fn worker.
 *
 * The call ends with `signal`, or with the request that made it. It rejects with the host's
 * `NativeError`, which has a `status`; outside the gateway, with a `MissingHostError`.
 *
 * @param {string} name as registered by the fn worker, such as `'threads.list'`
 * @param {{ direct?: boolean }} [_options] read by the build alone: `direct` calls of browsers pass the bundle by
 */
export function native(name, _options) {
  if (typeof name !== 'string' || name === '') {
    throw new TypeError("native() takes the name of a registered function, such as native('threads.list')")
  }
  return async function callNative({ data, signal, request } = {}) {
    const host = globalThis[HOST]
    if (!host) throw new MissingHostError(name)
    return host.callNative(name, data, { signal: signal ?? request?.signal })
  }
}

/**
 * A validator for `createServerFn().validator(...)` that gives the input its type and checks nothing: the native
 * function checks it. A direct function may have this one and no other.
 *
 * @param {string} _name as registered by the fn worker
 */
export function nativeInput(_name) {
  return (data) => data
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
