import { Link, type ErrorComponentProps } from '@tanstack/solid-router'

export function ErrorPage(props: ErrorComponentProps) {
  return (
    <main id="error">
      <h1>Something went wrong</h1>
      <p class="error">{props.error instanceof Error ? props.error.message : String(props.error)}</p>
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
