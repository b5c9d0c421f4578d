import { page } from './page'
import { routes } from './routes'

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url)
    if (pathname === '/') return page()
    if (pathname.startsWith('/api/auth/')) {
      const { auth } = await import('./auth')
      return auth().handler(request)
    }
    const route = routes[pathname]
    if (!route) return new Response('Not found', { status: 404 })
    try {
      const answer = await route(request)
      return answer instanceof Response ? answer : Response.json(answer)
    } catch (error) {
      const { name, message, stack, code } = error as Error & { code?: string }
      return Response.json({ name, message, code, stack }, { status: 500 })
    }
  },
}
