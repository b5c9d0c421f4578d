import { useState, type FormEvent } from 'react'
import { createFileRoute, Link, useNavigate, useRouter } from '@tanstack/react-router'

import {
  becomeGuest,
  countThreads,
  followDirectly,
  followThroughBundle,
  listThreads,
  searchThreads,
  signOut,
  starThread,
  uploadThread,
  uploadThroughBundle,
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
      <Upload way="direct" upload={uploadThread} />
      <Upload way="bundle" upload={uploadThroughBundle} />
      <Follow />
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

function Upload({ way, upload }: { way: string; upload: typeof uploadThread }) {
  const navigate = useNavigate()
  const [problem, setProblem] = useState('')

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    try {
      const { id } = await upload({ data: new FormData(event.currentTarget) })
      await navigate({ to: '/service/$id', params: { id: String(id) } })
    } catch (error) {
      setProblem((error as Error).message)
    }
  }

  return (
    <form onSubmit={submit}>
      <input id={`file-${way}`} name="file" type="file" />
      <input name="title" />
      <button id={`upload-${way}`}>Upload</button>
      <p id={`problem-${way}`} className="error">
        {problem}
      </p>
    </form>
  )
}

/** A stream as it comes, two ways. */
function Follow() {
  const [followed, setFollowed] = useState('')
  const follow = (start: typeof followDirectly) => async () => {
    const titles: string[] = []
    for await (const { title, updatedAt } of await start({ data: { limit: 3 } })) {
      titles.push(`${title} (${updatedAt instanceof Date ? 'dated' : 'not dated'})`)
      setFollowed(titles.join(', '))
    }
    setFollowed(`all of ${titles.join(', ')}`)
  }
  return (
    <section>
      <button id="follow-direct" type="button" onClick={follow(followDirectly)}>
        Follow directly
      </button>
      <button id="follow-bundle" type="button" onClick={follow(followThroughBundle)}>
        Follow through the bundle
      </button>
      <p id="followed">{followed}</p>
    </section>
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
