import { createSignal, For } from 'solid-js'
import { createFileRoute } from '@tanstack/solid-router'

import { listNativeThreads, renderMarkdown } from '../functions/native'

const INTRODUCTION = '# Native\n\nRendered by **Rust**.'

export const Route = createFileRoute('/native')({
  loader: async () => {
    const [list, introduction] = await Promise.all([
      listNativeThreads(),
      renderMarkdown({ data: { markdown: INTRODUCTION } }),
    ])
    return { list, introduction }
  },
  component: Native,
})

function Native() {
  const data = Route.useLoaderData()
  return (
    <main>
      <h1>{`${data().list.total} native threads`}</h1>
      <ul id="native-threads">
        <For each={data().list.threads}>{(thread) => <li>{`${thread.title} (${thread.messages})`}</li>}</For>
      </ul>
      <Search />
      <Markdown initial={data().introduction} />
    </main>
  )
}

/** Calls straight from the browser: the function needs no JavaScript on the server. */
function Search() {
  const [query, setQuery] = createSignal('')
  const [limit, setLimit] = createSignal(3)
  const [found, setFound] = createSignal<string[]>([])
  const [failure, setFailure] = createSignal('')

  async function search() {
    try {
      const { threads } = await listNativeThreads({ data: { query: query(), limit: limit() } })
      setFound(threads.map((thread) => thread.title))
      setFailure('')
    } catch (error) {
      setFailure((error as Error).message)
    }
  }

  return (
    <section>
      <input id="search-query" value={query()} onInput={(event) => setQuery(event.currentTarget.value)} />
      <input id="search-limit" value={limit()} onInput={(event) => setLimit(Number(event.currentTarget.value))} />
      <button id="search" type="button" onClick={search}>
        Search
      </button>
      <p id="search-found">{found().join(', ')}</p>
      <p id="search-failure">{failure()}</p>
    </section>
  )
}

function Markdown(props: { initial: { html: string; words: number } }) {
  const [markdown, setMarkdown] = createSignal(INTRODUCTION)
  const [rendered, setRendered] = createSignal(props.initial)

  return (
    <section>
      <textarea
        id="md-input"
        rows={4}
        value={markdown()}
        onInput={(event) => setMarkdown(event.currentTarget.value)}
      />
      <button
        id="md-render"
        type="button"
        onClick={async () => setRendered(await renderMarkdown({ data: { markdown: markdown() } }))}
      >
        Render
      </button>
      <p id="md-words">{`${rendered().words} words`}</p>
      <article id="native-markdown" innerHTML={rendered().html} />
    </section>
  )
}
