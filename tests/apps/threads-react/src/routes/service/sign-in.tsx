import { useState, type FormEvent } from 'react'
import { createFileRoute } from '@tanstack/react-router'
import { useServerFn } from '@tanstack/react-start'

import { signIn } from '../../functions/service'

export const Route = createFileRoute('/service/sign-in')({ component: SignIn })

function SignIn() {
  const enter = useServerFn(signIn)
  const [name, setName] = useState('')
  const [problem, setProblem] = useState('')

  async function submit(event: FormEvent) {
    event.preventDefault()
    await enter({ data: { name } }).catch((error: Error) => setProblem(error.message))
  }

  return (
    <main>
      <h1>Who are you?</h1>
      <form onSubmit={submit}>
        <label>
          Name <input id="name" value={name} onChange={(event) => setName(event.target.value)} />
        </label>
        <button id="sign-in">Sign in</button>
        <p id="problem" className="error">
          {problem}
        </p>
      </form>
    </main>
  )
}
