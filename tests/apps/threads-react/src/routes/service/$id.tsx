import { useState } from 'react'
import { createFileRoute, useNavigate, useRouter } from '@tanstack/react-router'
import { useServerFn } from '@tanstack/react-start'

import { readThread, removeThread, renameDirectly, renameThread } from '../../functions/service'

export const Route = createFileRoute('/service/$id')({
  loader: ({ params }) => readThread({ data: { id: Number(params.id) } }),
  component: Thread,
})

function Thread() {
  const thread = Route.useLoaderData()
  const navigate = useNavigate()
  const remove = useServerFn(removeThread)
  return (
    <main>
      <h1 id="title">{thread.title}</h1>
      <p id="labels">{thread.labels.join(', ')}</p>
      <p id="size">{`${thread.words} words, ${thread.bytes} bytes`}</p>
      <time dateTime={new Date(thread.updatedAt).toISOString()}>{new Date(thread.updatedAt).toISOString()}</time>
      <pre id="text">{thread.text}</pre>
      <Rename id={thread.id} />
      <button
        id="remove"
        type="button"
        onClick={() => remove({ data: { id: thread.id } }).then(() => navigate({ to: '/service' }))}
      >
        Remove
      </button>
    </main>
  )
}

function Rename({ id }: { id: number }) {
  const router = useRouter()
  const [title, setTitle] = useState('')
  const [labels, setLabels] = useState('')
  const [problem, setProblem] = useState('')

  const submit = (rename: typeof renameThread) => async () => {
    try {
      await rename({ data: { id, title, labels: labels === '' ? [] : labels.split(' ') } })
      setProblem('')
      await router.invalidate()
    } catch (error) {
      setProblem((error as Error).message)
    }
  }

  return (
    <section>
      <input id="new-title" value={title} onChange={(event) => setTitle(event.target.value)} />
      <input id="new-labels" value={labels} onChange={(event) => setLabels(event.target.value)} />
      <button id="rename-bundle" type="button" onClick={submit(renameThread)}>
        Rename through the bundle
      </button>
      <button id="rename-direct" type="button" onClick={submit(renameDirectly)}>
        Rename directly
      </button>
      <p id="problem" className="error">
        {problem}
      </p>
    </section>
  )
}
