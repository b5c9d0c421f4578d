import { PIPELINE, type PipelineControl } from './host.ts'
import { checkOptions, type RenderPipelineOptions } from './options.ts'
import { answerPage } from './page.ts'
import { Pipeline, type FetchOptions } from './pipeline.ts'

/** A definition: what a server entry exports by default. It starts nothing by itself. */
export interface RenderPipeline {
  /** Answers a request; so a definition runs wherever a web-standard handler does. */
  fetch(request: Request, options?: FetchOptions): Promise<Response>
  readonly [PIPELINE]: PipelineControl
}

/**
 * Defines how pages are rendered: hooks around a renderer.
 *
 * ```tsx
 * export default defineRenderPipeline({
 *   render: react(App, { router: reactRouter(routes) }),
 *   onRequest: (request) => ({ appProps: { locale: localeOf(request) } }),
 *   onRouterReady: ({ context }) => ({ isStream: !isCrawler(context.request) }),
 * })
 * ```
 *
 * @throws {TypeError} at an option that is none, or of another kind
 */
export function defineRenderPipeline<AppProps extends object = Record<string, unknown>>(
  options: RenderPipelineOptions<AppProps>,
): RenderPipeline {
  checkOptions('defineRenderPipeline', options, ['render'])
  const { render } = options as unknown as RenderPipelineOptions
  if (typeof render?.view?.render !== 'function' || typeof render.router?.handle !== 'function') {
    throw new TypeError("defineRenderPipeline(): 'render' must be a renderer, such as react(App) of @isopod/app/react")
  }
  const pipeline = new Pipeline(options as unknown as RenderPipelineOptions)
  return {
    fetch: (request, options) =>
      pipeline.answer(request, options, (request) => answerPage(pipeline, render, request, options)),
    [PIPELINE]: pipeline,
  }
}
