import { useState, type FormEvent } from 'react'
import { createFileRoute, Link, useNavigate, useRouter } from '@tanstack/react-router'

import {
  becomeGuest,
  countThreads,
  listThreads,
  searchThreads,
  signOut,
  starThread,
  uploadThread,
  whoAmI,
} from '../../functions/service'

export const Route = createFileRoute('/service/')({
  loader: async () => {
    const [page, user, counts] = await Promise.all([listThreads(), whoAmI(), countThreads()])
    return { page, user, counts }
  },
  component: Service,
})

function Service() {
  const { page, user, counts } = Route.useLoaderData()
  const router = useRouter()
  const refresh = () => router.invalidate()
  return (
    <main>
      <h1>{`Threads of ${user}`}</h1>
      <p id="counts">{`${counts.all} threads, ${counts.starred} with a star`}</p>
      <ul className="cards" id="threads">
        {page.threads.map(({ id, title, starred }) => (
          <li key={id}>
            <Link to="/service/$id" params={{ id: String(id) }}>
              {title}
            </Link>
            <button
              type="button"
              className="star"
              onClick={() => starThread({ data: { id, starred: !starred } }).then(refresh)}
            >
              {starred ? 'Starred' : 'Star'}
            </button>
          </li>
        ))}
      </ul>
      <Search />
      <Upload />
      <Waits />
      <button id="guest" type="button" onClick={() => becomeGuest().then(refresh)}>
        Be a guest
      </button>
      <button id="sign-out" type="button" onClick={() => signOut().then(refresh)}>
        Sign out
      </button>
    </main>
  )
}

/** The same function two ways: straight to Rust, and through the bundle. */
function Search() {
  const [query, setQuery] = useState('')
  const [found, setFound] = useState('')
  const search = (list: typeof searchThreads) => async () => {
    const { threads, total } = await list({ data: { query } })
    setFound(`${total}: ${threads.map((thread) => thread.title).join(', ')}`)
  }
  return (
    <section>
      <input id="query" value={query} onChange={(event) => setQuery(event.target.value)} />
      <button id="search-direct" type="button" onClick={search(searchThreads)}>
        Search directly
      </button>
      <button id="search-bundle" type="button" onClick={search(listThreads)}>
        Search through the bundle
      </button>
      <p id="found">{found}</p>
    </section>
  )
}

function Upload() {
  const navigate = useNavigate()
  const [problem, setProblem] = useState('')

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    try {
      const { id } = await uploadThread({ data: new FormData(event.currentTarget) })
      await navigate({ to: '/service/$id', params: { id: String(id) } })
    } catch (error) {
      setProblem((error as Error).message)
    }
  }

  return (
    <form onSubmit={submit}>
      <input id="file" name="file" type="file" />
      <input id="file-title" name="title" />
      <button id="upload">Upload</button>
      <p id="problem" className="error">
        {problem}
      </p>
    </form>
  )
}

/** Their loaders end when the visitor goes elsewhere. */
function Waits() {
  return (
    <p>
      <Link id="wait-bundle" to="/service/wait/$way" params={{ way: 'bundle' }}>
        Wait through the bundle
      </Link>
      {' or '}
      <Link id="wait-direct" to="/service/wait/$way" params={{ way: 'direct' }}>
        wait directly
      </Link>
    </p>
  )
}
