import { createFileRoute } from '@tanstack/react-router'

import { spin } from '../functions/bench'

interface Search {
  spin?: boolean
}

/** With `?spin=true` its loader never returns, which is what the bench `poisoned` is about; without, a page. */
export const Route = createFileRoute('/poisoned')({
  validateSearch: (search: Record<string, unknown>): Search => (search.spin === true ? { spin: true } : {}),
  loaderDeps: ({ search }) => ({ spin: search.spin }),
  loader: ({ deps }) => (deps.spin ? spin() : undefined),
  component: () => (
    <main>
      <h1>Poisoned</h1>
    </main>
  ),
})
