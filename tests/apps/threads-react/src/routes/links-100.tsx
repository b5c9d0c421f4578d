import { createFileRoute, Link } from '@tanstack/react-router'

const ids = Array.from({ length: 100 }, (_, index) => String(index + 1))

export const Route = createFileRoute('/links-100')({ component: Links })

function Links() {
  return (
    <main>
      <h1>100 links</h1>
      <ul className="links" id="links">
        {ids.map((id) => (
          <li key={id}>
            <Link to="/threads/$id" params={{ id }}>
              {`Thread ${id}`}
            </Link>
          </li>
        ))}
      </ul>
    </main>
  )
}
