import { createFileRoute } from '@tanstack/react-router'

import { countVisit } from '../functions/visits'

export const Route = createFileRoute('/visits')({
  loader: () => countVisit(),
  component: Visits,
})

function Visits() {
  const visits = Route.useLoaderData()
  return (
    <main>
      <h1>Visits</h1>
      <p id="visits">{`${visits}`}</p>
    </main>
  )
}
