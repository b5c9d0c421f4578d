/** `@isopod/app/tanstack-solid-router`: TanStack Router in Solid. */

import { createComponent } from 'solid-js/web'
import type { AnyRouter } from '@tanstack/solid-router'
import {
  createRequestHandler,
  createSsrStreamResponse,
  getSsrStatus,
  RouterServer,
  transformReadableStreamWithRouter,
} from '@tanstack/solid-router/ssr/server'

import type { RequestContext } from './exchange.ts'
import type { PageRouter } from './renderer.ts'
import { TanStackRouter, type Binding } from './tanstack.ts'

/** Loads with `createRequestHandler`; `createRouter` is called anew for each request. */
export function tanstackRouter(createRouter: (context: RequestContext) => AnyRouter): PageRouter {
  const binding: Binding<AnyRouter> = {
    view: 'solid',
    createRequestHandler: createRequestHandler as never,
    createSsrStreamResponse,
    getSsrStatus,
    transform: (router, stream, signal) =>
      transformReadableStreamWithRouter(router, stream, { signal, rendererSafePoint: 'record-end' }),
    hasDocument: true,
    element: (router) => createComponent(RouterServer as never, { router } as never),
  }
  return new TanStackRouter(createRouter, binding as never)
}
