import { useState } from 'react'
import { createFileRoute } from '@tanstack/react-router'

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
  const { list, introduction } = Route.useLoaderData()
  return (
    <main>
      <h1>{`${list.total} native threads`}</h1>
      <ul id="native-threads">
        {list.threads.map((thread) => (
          <li key={thread.id}>{`${thread.title} (${thread.messages})`}</li>
        ))}
      </ul>
      <Search />
      <Markdown initial={introduction} />
    </main>
  )
}

/** Calls straight from the browser: the function needs no JavaScript on the server. */
function Search() {
  const [query, setQuery] = useState('')
  const [limit, setLimit] = useState(3)
  const [found, setFound] = useState<string[]>([])
  const [failure, setFailure] = useState('')

  async function search() {
    try {
      const { threads } = await listNativeThreads({ data: { query, limit } })
      setFound(threads.map((thread) => thread.title))
      setFailure('')
    } catch (error) {
      setFailure((error as Error).message)
    }
  }

  return (
    <section>
      <input id="search-query" value={query} onChange={(event) => setQuery(event.target.value)} />
      <input id="search-limit" value={limit} onChange={(event) => setLimit(Number(event.target.value))} />
      <button id="search" type="button" onClick={search}>
        Search
      </button>
      <p id="search-found">{found.join(', ')}</p>
      <p id="search-failure">{failure}</p>
    </section>
  )
}

function Markdown({ initial }: { initial: { html: string; words: number } }) {
  const [markdown, setMarkdown] = useState(INTRODUCTION)
  const [rendered, setRendered] = useState(initial)

  return (
    <section>
      <textarea id="md-input" rows={4} value={markdown} onChange={(event) => setMarkdown(event.target.value)} />
      <button
        id="md-render"
        type="button"
        onClick={async () => setRendered(await renderMarkdown({ data: { markdown } }))}
      >
        Render
      </button>
      <p id="md-words">{`${rendered.words} words`}</p>
      <article id="native-markdown" dangerouslySetInnerHTML={{ __html: rendered.html }} />
    </section>
  )
}
