import { createFileRoute } from '@tanstack/react-router'

import { getSlowThreads } from '../functions/bench'

export const Route = createFileRoute('/slow')({
  loader: () => getSlowThreads(),
  component: Slow,
})

function Slow() {
  const threads = Route.useLoaderData()
  return (
    <main>
      <h1>Slow</h1>
      <ul id="slow-threads">
        {threads.map((thread) => (
          <li key={thread.id}>{thread.title}</li>
        ))}
      </ul>
    </main>
  )
}
