import { createRouter } from '@tanstack/react-router'

import { routeTree } from './routeTree.gen'

let routers = 0

/** Called anew for each request; the page shows the router's number. */
export function getRouter() {
  routers += 1
  return createRouter({ routeTree, context: { router: routers } })
}
