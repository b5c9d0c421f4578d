import { createIsomorphicFn, createServerFn } from '@tanstack/solid-start'
import { getRequest } from '@tanstack/solid-start/server'

import { markOf, walk } from '@shared/isolation.server'

export const walkHere = createServerFn({ method: 'GET' }).handler(() => walk(getRequest, 0))

export const walkBeside = createServerFn({ method: 'GET' }).handler(() => walk(getRequest, 1))

export const walkLater = createServerFn({ method: 'GET' }).handler(() => walk(getRequest, 2))

/** Whose request a component is rendered for. */
export const renderedFor = createIsomorphicFn()
  .server(() => markOf(getRequest()))
  .client(() => '')
