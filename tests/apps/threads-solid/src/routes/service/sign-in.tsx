import { createSignal } from 'solid-js'
import { createFileRoute } from '@tanstack/solid-router'
import { useServerFn } from '@tanstack/solid-start'

import { signIn } from '../../functions/service'

export const Route = createFileRoute('/service/sign-in')({ component: SignIn })

function SignIn() {
  const enter = useServerFn(signIn)
  const [name, setName] = createSignal('')
  const [problem, setProblem] = createSignal('')

  async function submit(event: SubmitEvent) {
    event.preventDefault()
    await enter({ data: { name: name() } }).catch((error: Error) => setProblem(error.message))
  }

  return (
    <main>
      <h1>Who are you?</h1>
      <form onSubmit={submit}>
        <label>
          Name <input id="name" value={name()} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <button id="sign-in">Sign in</button>
        <p id="problem" class="error">
          {problem()}
        </p>
      </form>
    </main>
  )
}
