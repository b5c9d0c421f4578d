/** `@isopod/app/solid`: Solid as a view. */

import { createRoot, sharedConfig, type Component, type JSX } from 'solid-js'
import { createComponent, generateHydrationScript, renderToStream } from 'solid-js/web'

import type { Exchange, RequestContext } from './exchange.ts'
import { noRouter, type Loaded, type PageRouter, type Renderer, type View } from './renderer.ts'

/** What the app's component is given, beside what `onRequest` returned as `appProps`. */
export interface AppComponentProps {
  context: RequestContext
  /** What the router shows. */
  children?: JSX.Element
}

export interface SolidOptions {
  /** Decides what is shown. Default: none, every request is the same page. */
  router?: PageRouter
}

/** Renders `App` with `renderToStream`, for `defineRenderPipeline({ render: solid(App) })`. */
export function solid<Props extends object>(
  App: Component<Props & AppComponentProps>,
  { router = noRouter }: SolidOptions = {},
): Renderer {
  return { view: new SolidView(App as Component<AppComponentProps>), router }
}

/** The part of Solid's server context that its types leave out; see `renderToStream` in `solid-js/web`. */
interface ServerContext {
  registerFragment(key: string): (value?: string, error?: unknown) => boolean
  serialize(id: string, value: unknown, wait?: boolean): void
}

class SolidView implements View {
  readonly name = 'solid'
  readonly #app: Component<AppComponentProps>

  constructor(app: Component<AppComponentProps>) {
    this.#app = app
  }

  head(exchange: Exchange): string {
    const generate = generateHydrationScript as (options: { nonce?: string }) => string
    return generate(exchange.nonce === undefined ? {} : { nonce: exchange.nonce })
  }

  async render(exchange: Exchange, loaded: Loaded, whole: boolean) {
    const props = {
      ...exchange.appProps,
      context: exchange,
      get children() {
        return loaded.element('solid') as JSX.Element
      },
    }
    const rendering = renderToStream(() => abortable(exchange, () => createComponent(this.#app, props)), {
      ...(exchange.nonce === undefined ? {} : { nonce: exchange.nonce }),
      onError: (error: unknown) => exchange.report(error),
    } as object)
    if (whole) {
      const html = await (rendering as unknown as PromiseLike<string>)
      return { stream: streamOf(withDoctype(html)), allReady: Promise.resolve() }
    }
    return piped(rendering)
  }
}

/** Solid knows no signal: on abort, what is pending is rejected, and what was created is disposed of. */
function abortable<T>(exchange: Exchange, render: () => T): T {
  const { signal } = exchange
  const context = (sharedConfig as { context?: unknown }).context as ServerContext
  const { registerFragment, serialize } = context
  const pending = new Map<string, (value?: string, error?: unknown) => boolean>()
  context.registerFragment = (key) => {
    const done = registerFragment.call(context, key)
    pending.set(key, done)
    return (value, error) => {
      pending.delete(key)
      return done(value, error)
    }
  }
  context.serialize = (id, value, wait) => {
    serialize.call(context, id, value instanceof Promise ? untilAborted(value, signal) : value, wait)
  }
  return createRoot((dispose) => {
    const onAbort = () => {
      for (const done of pending.values()) done(undefined, givenUp())
      pending.clear()
      dispose()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    exchange.onEnd(() => signal.removeEventListener('abort', onAbort))
    return render()
  })
}

/** What the client is told of it: no stack. */
function givenUp(): Error {
  return Object.assign(new Error('The server gave this page up before the data was there.'), { stack: '' })
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(givenUp())
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject)
  })
}

/** The stream, once the shell is written. Solid pushes: it keeps what is not read yet. */
function piped(rendering: { pipe(writable: { write(text: string): void; end(): void }): void }) {
  const encoder = new TextEncoder()
  let isFirst = true
  let isClosed = false
  return new Promise<{ stream: ReadableStream<Uint8Array>; allReady: Promise<void> }>((ready) => {
    let allDone = () => {}
    const allReady = new Promise<void>((resolve) => {
      allDone = resolve
    })
    const stream: ReadableStream<Uint8Array> = new ReadableStream({
      start(controller) {
        const close = () => {
          if (!isClosed) controller.close()
          isClosed = true
          allDone()
        }
        rendering.pipe({
          write(text) {
            if (isClosed || text === '') return
            controller.enqueue(encoder.encode(isFirst ? withDoctype(text) : text))
            isFirst = false
            ready({ stream, allReady })
          },
          end() {
            close()
            ready({ stream, allReady })
          },
        })
      },
      cancel() {
        isClosed = true
        allDone()
      },
    })
  })
}

function streamOf(html: string): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(html))
      controller.close()
    },
  })
}

/** Without a doctype a browser would fall back to the rules of the nineties. */
function withDoctype(html: string): string {
  return /^\s*<html[\s>]/i.test(html) ? `<!DOCTYPE html>${html}` : html
}
