import { useState } from 'react'
import { createFileRoute, Link } from '@tanstack/react-router'

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
      <ul className="cards" id="threads">
        {threads.map((thread) => (
          <li key={thread.id}>
            <Link to="/threads/$id" params={{ id: thread.id }}>
              {thread.title}
            </Link>
            <p>{`${thread.author}, ${thread.messages} messages`}</p>
          </li>
        ))}
      </ul>
    </main>
  )
}

function Counter() {
  const [count, setCount] = useState(0)
  return (
    <button id="counter" type="button" onClick={() => setCount(count + 1)}>
      {`Count: ${count}`}
    </button>
  )
}
