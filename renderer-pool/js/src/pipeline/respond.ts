/** From a render that has begun to a response: shell, state, assets, body. */

import { entryTags, headTags, type PageAssets } from './assets.ts'
import { pieces, type BodyPlan } from './body.ts'
import { Chunks } from './chunks.ts'
import type { Exchange } from './exchange.ts'
import { Injections } from './injections.ts'
import type { Pipeline } from './pipeline.ts'
import { chunk, shellDecision, state } from './shapes.ts'
import { StateWriter } from './state.ts'

/** After an abort, a renderer may take so long to write what it has, in milliseconds. */
const ABORT_GRACE_MS = 1000

export interface Shell {
  stream: ReadableStream<Uint8Array>
  assets: PageAssets
  /** HTML that the view and the router need in the head. */
  head: string
  /** HTML that hands the router's data over, called when `exchange.injections` is there. */
  hydrate: (() => string) | undefined
}

/** The response of a page whose shell is ready. */
export async function respond(pipeline: Pipeline, exchange: Exchange, shell: Shell): Promise<Response> {
  const { hooks, runner } = pipeline
  const extra = { context: exchange as never }
  const injections = new Injections()
  exchange.injections = injections
  exchange.isHeld = true
  const { onShellReady, onResponse } = hooks
  let { header, footer } = exchange.html
  if (onShellReady) {
    // A page without its frame is still a page: the failure is logged and counted.
    const decided = await runner.run('onShellReady', () => onShellReady(extra), shellDecision).catch(told(exchange))
    header = decided?.header ?? header
    footer = decided?.footer ?? footer
  }
  const writer = new StateWriter()
  const early = await writeState(pipeline, exchange, writer, false)
  const { nonce } = exchange
  const plan: BodyPlan = {
    header,
    footer,
    head: early + headTags(shell.assets, nonce) + shell.head,
    start: (shell.hydrate?.() ?? '') + entryTags(shell.assets, nonce),
    chunks: new Chunks(shell.stream),
    injections,
    transform: onResponse && ((html) => transformed(pipeline, exchange, html)),
    late: () => writeState(pipeline, exchange, writer, true),
    overdue: overdue(exchange),
    endsOverdue: () => exchange.code !== 'cancel',
  }
  const { status, headers } = exchange.response
  exchange.isPage = true
  if (!headers.has('content-type')) headers.set('content-type', 'text/html; charset=utf-8')
  if (exchange.request.method === 'HEAD') {
    // Its head is all that is wanted: the rest is not rendered, and nobody is told.
    exchange.drop()
    plan.chunks.cancel(undefined).catch(ignore)
    end(exchange, plan)
    return new Response(null, { status, headers })
  }
  if (exchange.isStream) return new Response(stream(exchange, plan), { status, headers })
  return new Response(await whole(exchange, plan, headers), { status, headers })
}

/** Any hook's failure counts as an error of the render. */
function told(exchange: Exchange) {
  return (error: unknown): undefined => exchange.report(error) as undefined
}

async function writeState(pipeline: Pipeline, exchange: Exchange, writer: StateWriter, last: boolean) {
  const { getState } = pipeline.hooks
  if (!getState) return ''
  const context = exchange as never
  const html = await pipeline.runner
    .run('getState', () => getState({ context }), (value) => writer.write(state(value), exchange.nonce, last))
    .catch(told(exchange))
  return html ?? ''
}

/** What an app wants changed it may want changed for a reason: where that fails, nothing is sent in its place. */
async function transformed(pipeline: Pipeline, exchange: Exchange, html: string): Promise<string> {
  const { onResponse } = pipeline.hooks
  if (!onResponse) return html
  const call = () => onResponse({ context: exchange as never, html })
  return (await pipeline.runner.run('onResponse', call, chunk)) ?? html
}

function overdue(exchange: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const onAbort = () => {
      const timer = setTimeout(resolve, ABORT_GRACE_MS)
      exchange.onEnd(() => clearTimeout(timer))
    }
    if (exchange.signal.aborted) onAbort()
    else exchange.signal.addEventListener('abort', onAbort, { once: true })
  })
}

function stream(exchange: Exchange, plan: BodyPlan): ReadableStream<Uint8Array> {
  const parts = pieces(plan)
  const encoder = new TextEncoder()
  const source: UnderlyingDefaultSource<Uint8Array> = {
    async pull(controller) {
      try {
        const { done, value } = await parts.next()
        if (!done) return controller.enqueue(encoder.encode(value))
        end(exchange, plan)
        controller.close()
      } catch (error) {
        fail(exchange, plan, error)
        controller.error(error)
      }
    },
    async cancel(reason) {
      exchange.giveUp('cancel', reason ?? new DOMException('The response is not read any more.', 'AbortError'))
      await plan.chunks.cancel(reason).catch(ignore)
      end(exchange, plan)
    },
  }
  return new ReadableStream(source, { highWaterMark: 0 })
}

async function whole(exchange: Exchange, plan: BodyPlan, headers: Headers): Promise<Uint8Array<ArrayBuffer>> {
  let html = ''
  try {
    for await (const piece of pieces(plan)) html += piece
  } catch (error) {
    fail(exchange, plan, error)
    throw error
  }
  end(exchange, plan)
  const bytes = new TextEncoder().encode(html)
  headers.set('content-length', String(bytes.byteLength))
  return bytes
}

function end(exchange: Exchange, plan: BodyPlan) {
  plan.injections.close()
  exchange.finish()
}

function fail(exchange: Exchange, plan: BodyPlan, error: unknown) {
  exchange.report(error)
  exchange.drop()
  plan.chunks.cancel(error).catch(ignore)
  end(exchange, plan)
}

function ignore(): void {}
