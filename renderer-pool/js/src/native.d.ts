/**
 * The native functions an app may call, by name. A fn worker's generated types add to it:
 *
 * ```ts
 * declare module '@isopod/app/native' {
 *   interface NativeFunctions {
 *     'threads.list': { input: { limit?: number }; output: { total: number } }
 *   }
 * }
 * ```
 */
export interface NativeFunctions {}

/** What TanStack Start hands to the handler of a server function, as far as it matters here. */
export interface NativeCall<Input> {
  data?: Input
  context?: unknown
  signal?: AbortSignal
  request?: Request
}

type Input<Name extends keyof NativeFunctions> = NativeFunctions[Name] extends { input: infer I } ? I : undefined
type Output<Name extends keyof NativeFunctions> = NativeFunctions[Name] extends { output: infer O } ? O : unknown

/**
 * A handler for `createServerFn().handler(...)` that runs the native function `name` in a fn worker.
 *
 * The call ends with `signal`, or with the request that made it. It rejects with a
 * {@link NativeError}; outside the gateway, with a {@link MissingHostError}.
 */
export function native<Name extends keyof NativeFunctions>(
  name: Name,
): (call: NativeCall<Input<Name>>) => Promise<Output<Name>>

/** What a failed native function rejects with. */
export interface NativeError extends Error {
  name: 'NativeError'
  /** The HTTP status the failure stands for. */
  status: number
}

/** A native function was called where no gateway answers: in Node, or under `vite dev`. */
export class MissingHostError extends Error {
  readonly code: 'ERR_ISOPOD_NO_HOST'
  constructor(functionName: string)
}
