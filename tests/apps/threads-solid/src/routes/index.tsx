import { createSignal, For } from 'solid-js'
import { createFileRoute, Link } from '@tanstack/solid-router'

import { listThreads } from '../functions/threads'

export const Route = createFileRoute('/')({
  loader: () => listThreads(),
  component: Home,
})

function Home() {
  const threads = Route.useLoaderData()
  return (
    <main>
      <h1>Threads</h1>
      <Counter />
      <ul class="cards" id="threads">
        <For each={threads()}>
          {(thread) => (
            <li>
              <Link to="/threads/$id" params={{ id: thread.id }}>
                {thread.title}
              </Link>
              <p>{`${thread.author}, ${thread.messages} messages`}</p>
            </li>
          )}
        </For>
      </ul>
    </main>
  )
}

function Counter() {
  const [count, setCount] = createSignal(0)
  return (
    <button id="counter" type="button" onClick={() => setCount(count() + 1)}>
      {`Count: ${count()}`}
    </button>
  )
}
