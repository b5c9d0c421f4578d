/** `@isopod/app/react`: React as a view. */

import { createElement, type ComponentType, type ReactNode } from 'react'
import * as ReactDOMServer from 'react-dom/server'

import type { Exchange, RequestContext } from './exchange.ts'
import { noRouter, type Loaded, type PageRouter, type Renderer, type View } from './renderer.ts'

/** What the app's component is given, beside what `onRequest` returned as `appProps`. */
export interface AppComponentProps {
  context: RequestContext
  /** What the router shows. */
  children?: ReactNode
}

export interface ReactOptions {
  /** Decides what is shown. Default: none, every request is the same page. */
  router?: PageRouter
}

/** Renders `App` with `renderToReadableStream`, for `defineRenderPipeline({ render: react(App) })`. */
export function react<Props extends object>(
  App: ComponentType<Props & AppComponentProps>,
  { router = noRouter }: ReactOptions = {},
): Renderer {
  return { view: new ReactView(App as ComponentType<AppComponentProps>), router }
}

class ReactView implements View {
  readonly name = 'react'
  readonly #app: ComponentType<AppComponentProps>

  constructor(app: ComponentType<AppComponentProps>) {
    this.#app = app
  }

  async render(exchange: Exchange, loaded: Loaded) {
    const props = { ...exchange.appProps, context: exchange }
    const stream = await ReactDOMServer.renderToReadableStream(
      createElement(this.#app, props, loaded.element('react') as ReactNode),
      {
        signal: exchange.signal,
        ...(exchange.nonce === undefined ? {} : { nonce: exchange.nonce }),
        onError: (error) => exchange.report(error),
      },
    )
    // Its failure is the shell's or the stream's own, and is heard of there.
    stream.allReady.catch(() => {})
    return { stream, allReady: stream.allReady }
  }
}
