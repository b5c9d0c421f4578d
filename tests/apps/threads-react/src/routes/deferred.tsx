import { Await, createFileRoute } from '@tanstack/react-router'

import { getSlowly } from '../functions/deferred'

export const Route = createFileRoute('/deferred')({
  loader: () => ({ value: getSlowly() }),
  component: Deferred,
})

function Deferred() {
  const { value } = Route.useLoaderData()
  return (
    <main>
      <h1>Deferred</h1>
      <p id="shell">The shell is here at once.</p>
      <Await promise={value} fallback={<p id="deferred-pending">Waiting</p>}>
        {(text) => <p id="deferred-value">{text}</p>}
      </Await>
    </main>
  )
}
