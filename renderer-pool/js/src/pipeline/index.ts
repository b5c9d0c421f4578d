/** `@isopod/app/pipeline`: lifecycle hooks around any renderer. The guide is `docs/pipeline.md`. */

export { isCrawler } from './crawlers.ts'
export { defineRenderPipeline, type RenderPipeline } from './definition.ts'
export { RenderAbortError, RenderTimeoutError } from './exchange.ts'
export type { ErrorCode, RequestContext, ResponseHead } from './exchange.ts'
export { HookError, type HookFailure, type HookName } from './hook.ts'
export type { ServerInfo } from './host.ts'
export type {
  Counter,
  Gauge,
  Histogram,
  HistogramOptions,
  LabelValues,
  MetricOptions,
  MetricsRegistry,
} from './metrics.ts'
export type { Hooks, PipelineError, RenderPipelineOptions } from './options.ts'
export type { EarlyHintsEvent, FetchOptions } from './pipeline.ts'
export { noRouter } from './renderer.ts'
export type { Loaded, Match, PageRouter, Renderer, Rendering, View } from './renderer.ts'
export type { EndpointParams, Handler, Log, Middleware, ServerApp } from './server_app.ts'
export type { RequestDecision, RouterDecision, ShellDecision } from './shapes.ts'
export { withPipeline, type FetchHandler } from './start.ts'
