/** `@isopod/app/client`: what the server's pipeline left for the client. */

interface Holder {
  /** The state by key. */
  s: Record<string, unknown>
  /** Who waits for the late state. */
  d: (() => void)[]
  /** 1 once the late state came. */
  e: 0 | 1
}

function holder(): Holder | undefined {
  return (globalThis as { $isopod?: Holder }).$isopod
}

/**
 * What the server's `getState` returned under `key`; `undefined` when there is none, on the server, or while the page
 * still streams and the value is a late one. See {@link whenServerState}.
 */
export function getServerState<T = unknown>(key: string): T | undefined {
  return holder()?.s[key] as T | undefined
}

/**
 * Resolves to what the server's `getState` returned under `key` at the end of the document, once that has arrived.
 * Without such state it resolves when the document is there.
 */
export function whenServerState<T = unknown>(key: string): Promise<T | undefined> {
  const found = () => getServerState<T>(key)
  return new Promise((resolve) => {
    const state = holder()
    if (state?.e === 1 || typeof document === 'undefined' || document.readyState !== 'loading') return resolve(found())
    const done = () => resolve(found())
    state?.d.push(done)
    document.addEventListener('DOMContentLoaded', done, { once: true })
  })
}
