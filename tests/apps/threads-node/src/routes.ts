type Route = (request: Request) => Promise<unknown>

/** One route for each package, each loaded when it is first asked for. */
export const routes: Record<string, Route> = {
  '/builtins': async () => (await import('./builtins')).checks(),
  '/drizzle': async () => (await import('./database')).throughDrizzle(),
  '/guarded': async (request) => (await import('./auth')).guarded(request),
  '/jose': async () => (await import('./tokens')).signedAndVerified(),
  '/migrate': async () => (await import('./auth')).migrate(),
  '/permissions': async () => (await import('./permissions')).refused(),
  '/pg': async () => (await import('./database')).throughPool(),
  '/pino': async () => (await import('./logging')).logged(),
  '/query': async () => (await import('./query')).page(),
  '/redis': async () => (await import('./redis')).throughRedis(),
  '/zod': async (request) => (await import('./validation')).validated(request),
}
