/** React Router's data on its way to the client, promises included. `@isopod/app/client/react-router` reads it. */

import { crossSerializeStream, Feature, getCrossReferenceHeader } from 'seroval'

import type { Exchange } from './exchange.ts'
import { script } from './state.ts'

const SCOPE = 'isopod'

/** An error as the client gets it. */
export interface SentError {
  kind: 'response' | 'error'
  status?: number
  statusText?: string
  data?: unknown
  message?: string
  name?: string
}

/** What a router's static context hands over. */
export interface RouterData {
  loaderData: Record<string, unknown>
  actionData: Record<string, unknown> | null
  errors: Record<string, unknown> | null
}

/** The script with what is there; later ones follow as promises settle. */
export function hydrationScript(data: RouterData, exchange: Exchange): string {
  const { loaderData, actionData, errors } = data
  const sent = {
    loaderData: awaited(loaderData, exchange.signal),
    actionData,
    errors: errors && Object.fromEntries(Object.entries(errors).map(([id, error]) => [id, sentError(error)])),
  }
  let first = ''
  const wrap = (code: string) => script(exchange.nonce, code)
  const work = new Promise<void>((resolve) => {
    const stop = crossSerializeStream(sent, {
      scopeId: SCOPE,
      disabledFeatures: Feature.ErrorPrototypeStack,
      onSerialize(code, isFirst) {
        if (isFirst) first = wrap(`${getCrossReferenceHeader(SCOPE)};self.$isopodRouter=${code}`)
        else exchange.injections?.push(wrap(code))
      },
      onError(error) {
        exchange.report(new Error('the data of a loader cannot be handed to the client', { cause: error }))
        resolve()
      },
      onDone: resolve,
    })
    exchange.onEnd(stop)
  })
  exchange.injections?.until(work)
  // Where it cannot be serialised at all, the client loads for itself.
  return first
}

/** An error without what visitors must not see. */
export function sentError(error: unknown): SentError {
  if (isErrorResponse(error)) {
    const { status, statusText, data } = error
    return { kind: 'response', status, statusText, data }
  }
  if (error instanceof Error) return { kind: 'error', message: error.message, name: error.name }
  return { kind: 'error', message: String(error), name: 'Error' }
}

interface ErrorResponse {
  status: number
  statusText: string
  data: unknown
}

function isErrorResponse(error: unknown): error is ErrorResponse {
  const found = error as Partial<ErrorResponse> | null | undefined
  return typeof found?.status === 'number' && typeof found.statusText === 'string' && 'data' in found
}

/** Promises in the loaders' data reject when the render is given up: the client would wait for ever. */
export function awaited(loaderData: Record<string, unknown>, signal: AbortSignal): Record<string, unknown> {
  const given = (value: unknown) => (value instanceof Promise ? untilAborted(value, signal) : value)
  const entries = Object.entries(loaderData).map(([id, data]) => {
    if (!isPlain(data)) return [id, given(data)]
    return [id, Object.fromEntries(Object.entries(data).map(([key, value]) => [key, given(value)]))]
  })
  return Object.fromEntries(entries)
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const promise = new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(new Error('The server gave this page up before the data was there.'))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, (error) => reject(Object.assign(new Error(sentError(error).message), { stack: '' })))
  })
  // The serializer listens later than it may reject.
  promise.catch(() => {})
  return promise
}
