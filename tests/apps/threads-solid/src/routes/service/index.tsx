import { createSignal, For } from 'solid-js'
import { createFileRoute, Link, useNavigate, useRouter } from '@tanstack/solid-router'

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

function Upload(props: { way: string; upload: typeof uploadThread }) {
  const navigate = useNavigate()
  const [problem, setProblem] = createSignal('')

  async function submit(event: SubmitEvent & { currentTarget: HTMLFormElement }) {
    event.preventDefault()
    try {
      const { id } = await props.upload({ data: new FormData(event.currentTarget) })
      await navigate({ to: '/service/$id', params: { id: String(id) } })
    } catch (error) {
      setProblem((error as Error).message)
    }
  }

  return (
    <form onSubmit={submit}>
      <input id={`file-${props.way}`} name="file" type="file" />
      <input name="title" />
      <button id={`upload-${props.way}`}>Upload</button>
      <p id={`problem-${props.way}`} class="error">
        {problem()}
      </p>
    </form>
  )
}

/** A stream as it comes, two ways. */
function Follow() {
  const [followed, setFollowed] = createSignal('')
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
      <p id="followed">{followed()}</p>
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
