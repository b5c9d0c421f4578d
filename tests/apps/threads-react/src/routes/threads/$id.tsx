import { useState, type FormEvent } from 'react'
import { createFileRoute, useRouter } from '@tanstack/react-router'
import { useServerFn } from '@tanstack/react-start'

import { getThread, renameThread } from '../../functions/threads'

export const Route = createFileRoute('/threads/$id')({
  loader: ({ params }) => getThread({ data: { id: params.id } }),
  component: ThreadPage,
})

function ThreadPage() {
  const thread = Route.useLoaderData()
  return (
    <main>
      <h1 id="title">{thread.title}</h1>
      <p id="thread">{`Thread ${thread.id} by ${thread.author}, ${thread.messages} messages`}</p>
      <RenameForm key={thread.id} id={thread.id} />
    </main>
  )
}

function RenameForm({ id }: { id: string }) {
  const router = useRouter()
  const rename = useServerFn(renameThread)
  const [title, setTitle] = useState('')
  const [error, setError] = useState<string>()

  async function submit(event: FormEvent) {
    event.preventDefault()
    try {
      await rename({ data: { id, title } })
      setError(undefined)
      await router.invalidate()
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure))
    }
  }

  return (
    <form id="rename" onSubmit={submit}>
      <label>
        New title <input id="rename-title" value={title} onChange={(event) => setTitle(event.target.value)} />
      </label>
      <button id="rename-submit">Rename</button>
      {error && (
        <p id="rename-error" className="error">
          {error}
        </p>
      )}
    </form>
  )
}
