import { createSignal } from 'solid-js'
import { createFileRoute, useNavigate, useRouter } from '@tanstack/solid-router'
import { useServerFn } from '@tanstack/solid-start'

import { readThread, removeThread, renameDirectly, renameThread } from '../../functions/service'

export const Route = createFileRoute('/service/$id')({
  loader: ({ params }) => readThread({ data: { id: Number(params.id) } }),
  component: Thread,
})

function Thread() {
  const thread = Route.useLoaderData()
  const navigate = useNavigate()
  const remove = useServerFn(removeThread)
  const updated = () => new Date(thread().updatedAt).toISOString()
  return (
    <main>
      <h1 id="title">{thread().title}</h1>
      <p id="labels">{thread().labels.join(', ')}</p>
      <p id="size">{`${thread().words} words, ${thread().bytes} bytes`}</p>
      <time datetime={updated()}>{updated()}</time>
      <pre id="text">{thread().text}</pre>
      <Rename id={thread().id} />
      <button
        id="remove"
        type="button"
        onClick={() => remove({ data: { id: thread().id } }).then(() => navigate({ to: '/service' }))}
      >
        Remove
      </button>
    </main>
  )
}

function Rename(props: { id: number }) {
  const router = useRouter()
  const [title, setTitle] = createSignal('')
  const [labels, setLabels] = createSignal('')
  const [problem, setProblem] = createSignal('')

  const submit = (rename: typeof renameThread) => async () => {
    try {
      await rename({ data: { id: props.id, title: title(), labels: labels() === '' ? [] : labels().split(' ') } })
      setProblem('')
      await router.invalidate()
    } catch (error) {
      setProblem((error as Error).message)
    }
  }

  return (
    <section>
      <input id="new-title" value={title()} onInput={(event) => setTitle(event.currentTarget.value)} />
      <input id="new-labels" value={labels()} onInput={(event) => setLabels(event.currentTarget.value)} />
      <button id="rename-bundle" type="button" onClick={submit(renameThread)}>
        Rename through the bundle
      </button>
      <button id="rename-direct" type="button" onClick={submit(renameDirectly)}>
        Rename directly
      </button>
      <p id="problem" class="error">
        {problem()}
      </p>
    </section>
  )
}
