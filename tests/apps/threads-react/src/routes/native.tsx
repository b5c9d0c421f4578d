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
      <Markdown initial={introduction} />
    </main>
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
