/** `@isopod/app/tanstack-react-router`: TanStack Router in React. */

import { createElement } from 'react'
import type { AnyRouter } from '@tanstack/react-router'
import {
  createRequestHandler,
  createSsrStreamResponse,
  getSsrStatus,
  RouterServer,
  transformReadableStreamWithRouter,
} from '@tanstack/react-router/ssr/server'

import type { RequestContext } from './exchange.ts'
import type { PageRouter } from './renderer.ts'
import { TanStackRouter, type Binding } from './tanstack.ts'

/** Loads with `createRequestHandler`; `createRouter` is called anew for each request. */
export function tanstackRouter(createRouter: (context: RequestContext) => AnyRouter): PageRouter {
  const binding: Binding<AnyRouter> = {
    view: 'react',
    createRequestHandler: createRequestHandler as never,
    createSsrStreamResponse,
    getSsrStatus,
    transform: (router, stream, signal) =>
      transformReadableStreamWithRouter(router, stream, { signal, rendererSafePoint: 'script-close' }),
    hasDocument: false,
    element: (router) => createElement(RouterServer, { router }),
  }
  return new TanStackRouter(createRouter, binding as never)
}
