import { createFileRoute } from '@tanstack/solid-router'

import { echo } from '../functions/echo'

export const Route = createFileRoute('/echo/$id')({
  loader: () => echo(),
  component: Echo,
})

function Echo() {
  const params = Route.useParams()
  const seen = Route.useLoaderData()
  return (
    <main>
      <p id="echo">{`${params().id}|${seen().seenId}|${seen().header}`}</p>
    </main>
  )
}
