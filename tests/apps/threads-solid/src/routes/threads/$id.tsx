import { createSignal, Show } from 'solid-js'
import { createFileRoute, useRouter } from '@tanstack/solid-router'
import { useServerFn } from '@tanstack/solid-start'

import { getThread, renameThread } from '../../functions/threads'

export const Route = createFileRoute('/threads/$id')({
  loader: ({ params }) => getThread({ data: { id: params.id } }),
  component: ThreadPage,
})

function ThreadPage() {
  const thread = Route.useLoaderData()
  return (
    <main>
      <h1 id="title">{thread().title}</h1>
      <p id="thread">{`Thread ${thread().id} by ${thread().author}, ${thread().messages} messages`}</p>
      <Show when={thread().id} keyed>
        {(id) => <RenameForm id={id} />}
      </Show>
    </main>
  )
}

function RenameForm(props: { id: string }) {
  const router = useRouter()
  const rename = useServerFn(renameThread)
  const [title, setTitle] = createSignal('')
  const [error, setError] = createSignal<string>()

  async function submit(event: SubmitEvent) {
    event.preventDefault()
    try {
      await rename({ data: { id: props.id, title: title() } })
      setError(undefined)
      await router.invalidate()
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure))
    }
  }

  return (
    <form id="rename" onSubmit={submit}>
      <label>
        New title <input id="rename-title" value={title()} onInput={(event) => setTitle(event.currentTarget.value)} />
      </label>
      <button id="rename-submit">Rename</button>
      <Show when={error()}>
        <p id="rename-error" class="error">
          {error()}
        </p>
      </Show>
    </form>
  )
}
