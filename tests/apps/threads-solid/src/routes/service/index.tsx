import { createSignal, For } from 'solid-js'
import { createFileRoute, Link, useNavigate, useRouter } from '@tanstack/solid-router'

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
  const data = Route.useLoaderData()
  const router = useRouter()
  const refresh = () => router.invalidate()
  return (
    <main>
      <h1>{`Threads of ${data().user}`}</h1>
      <p id="counts">{`${data().counts.all} threads, ${data().counts.starred} with a star`}</p>
      <ul class="cards" id="threads">
        <For each={data().page.threads}>
          {({ id, title, starred }) => (
            <li>
              <Link to="/service/$id" params={{ id: String(id) }}>
                {title}
              </Link>
              <button
                type="button"
                class="star"
                onClick={() => starThread({ data: { id, starred: !starred } }).then(refresh)}
              >
                {starred ? 'Starred' : 'Star'}
              </button>
            </li>
          )}
        </For>
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
  const [query, setQuery] = createSignal('')
  const [found, setFound] = createSignal('')
  const search = (list: typeof searchThreads) => async () => {
    const { threads, total } = await list({ data: { query: query() } })
    setFound(`${total}: ${threads.map((thread) => thread.title).join(', ')}`)
  }
  return (
    <section>
      <input id="query" value={query()} onInput={(event) => setQuery(event.currentTarget.value)} />
      <button id="search-direct" type="button" onClick={search(searchThreads)}>
        Search directly
      </button>
      <button id="search-bundle" type="button" onClick={search(listThreads)}>
        Search through the bundle
      </button>
      <p id="found">{found()}</p>
    </section>
  )
}

function Upload() {
  const navigate = useNavigate()
  const [problem, setProblem] = createSignal('')

  async function submit(event: SubmitEvent & { currentTarget: HTMLFormElement }) {
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
      <p id="problem" class="error">
        {problem()}
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
