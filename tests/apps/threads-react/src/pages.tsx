import { Link, type ErrorComponentProps } from '@tanstack/react-router'

export function ErrorPage({ error }: ErrorComponentProps) {
  return (
    <main id="error">
      <h1>Something went wrong</h1>
      <p className="error">{error instanceof Error ? error.message : String(error)}</p>
      <Link to="/">Home</Link>
    </main>
  )
}

export function NotFoundPage() {
  return (
    <main id="not-found">
      <h1>Not found</h1>
      <p>There is no such page.</p>
      <Link to="/">Home</Link>
    </main>
  )
}
