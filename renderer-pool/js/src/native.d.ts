/**
 * The native functions an app may call, by name. What an fn worker prints with `--emit-types` adds to it:
 *
 * ```ts
 * declare module '@isopod/app/native' {
 *   interface NativeFunctions {
 *     'threads.list': { method: 'GET'; input: { limit: number | null }; output: { total: number } }
 *   }
 * }
 * ```
 */
export interface NativeFunctions {}

/** The routes of fn workers, by their patterns: the methods that they answer beside `HEAD` and `OPTIONS`. */
export interface NativeRoutes {}

/** What TanStack Start hands to the handler of a server function, as far as it matters here. */
export interface NativeCall<Input, Method = 'GET' | 'POST'> {
  data?: Input
  method?: Method
  context?: unknown
  signal?: AbortSignal
  request?: Request
}

/** What stays as it is: no plain objects. */
type Exact =
  | string
  | number
  | boolean
  | bigint
  | symbol
  | null
  | undefined
  | Date
  | RegExp
  | URL
  | Error
  | Blob
  | FormData
  | ArrayBuffer
  | ArrayBufferView
  | ReadableStream
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>

/** What a caller may give for a `T` of Rust: what may be `null` may be left out. */
export type Given<T> = T extends Exact
  ? T
  : T extends readonly unknown[]
    ? { [Key in keyof T]: Given<T[Key]> }
    : T extends object
      ? Flat<
          { [Key in keyof T as null extends T[Key] ? never : Key]: Given<T[Key]> } & {
            [Key in keyof T as null extends T[Key] ? Key : never]?: Given<T[Key]> | undefined
          }
        >
      : T

type Flat<T> = { [Key in keyof T]: T[Key] }

/** An input of which nothing is needed may be left out as a whole. */
type Whole<T> = null extends T ? T | undefined : T extends FormData ? T : {} extends T ? T | undefined : T

type Input<Name extends keyof NativeFunctions> = NativeFunctions[Name] extends { input: infer I } ? Whole<Given<I>> : undefined
type Output<Name extends keyof NativeFunctions> = NativeFunctions[Name] extends { output: infer O } ? O : unknown
type Method<Name extends keyof NativeFunctions> = NativeFunctions[Name] extends { method: infer M } ? M : 'GET' | 'POST'

/**
 * A handler for `createServerFn().handler(...)` that runs the native function `name` in a fn worker.
 *
 * The call ends with `signal`, or with the request that made it. It rejects with a
 * {@link NativeError}; outside the gateway, with a {@link MissingHostError}.
 */
export function native<Name extends keyof NativeFunctions>(
  name: Name,
  options?: NativeOptions,
): (call: NativeCall<Input<Name>, Method<Name>>) => Promise<Output<Name>>

/** How a native function is called. */
export interface NativeOptions {
  /**
   * A browser's call goes from the gateway straight to the fn worker, without the bundle. The build refuses it for a
   * function with middleware or a validator in JavaScript. Global middleware of `createStart` does not run either;
   * the gateway's own does. Calls from loaders and other server functions are as without it. Default: `false`.
   */
  direct?: boolean
}

/**
 * A validator for `createServerFn().validator(...)` that gives the input its type and checks nothing: the native
 * function checks it. A direct function may have this one and no other.
 */
export function nativeInput<Name extends keyof NativeFunctions>(name: Name): (data: Input<Name>) => Input<Name>

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
