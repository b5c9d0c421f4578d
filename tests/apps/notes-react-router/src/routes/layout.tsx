import { isRouteErrorResponse, Link, Outlet, useRouteError } from 'react-router'

import { useStore } from '../app.tsx'

export function Layout() {
  const store = useStore()
  return (
    <>
      <nav>
        <Link to="/">Home</Link>
        <Link to="/notes">Notes</Link>
        <Link to="/notes/2">Shells</Link>
        <Link to="/deferred">Deferred</Link>
        <Link to="/old">Old</Link>
      </nav>
      <p id="visits">{store?.visits ?? 0}</p>
      <main>
        <Outlet />
      </main>
    </>
  )
}

export function Boundary() {
  const error = useRouteError()
  const text = isRouteErrorResponse(error) ? `${error.status}: ${String(error.data)}` : (error as Error).message
  return <p id="error">{text}</p>
}

export function NotFound() {
  return <h1>Not found</h1>
}
