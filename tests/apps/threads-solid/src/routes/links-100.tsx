import { For } from 'solid-js'
import { createFileRoute, Link } from '@tanstack/solid-router'

const ids = Array.from({ length: 100 }, (_, index) => String(index + 1))

export const Route = createFileRoute('/links-100')({ component: Links })

function Links() {
  return (
    <main>
      <h1>100 links</h1>
      <ul class="links" id="links">
        <For each={ids}>
          {(id) => (
            <li>
              <Link to="/threads/$id" params={{ id }}>
                {`Thread ${id}`}
              </Link>
            </li>
          )}
        </For>
      </ul>
    </main>
  )
}
