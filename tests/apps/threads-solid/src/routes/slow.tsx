import { For } from 'solid-js'
import { createFileRoute } from '@tanstack/solid-router'

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
        <For each={threads()}>{(thread) => <li>{thread.title}</li>}</For>
      </ul>
    </main>
  )
}
