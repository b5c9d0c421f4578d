import { createFileRoute } from '@tanstack/react-router'

import { echo } from '../functions/echo'

export const Route = createFileRoute('/echo/$id')({
  loader: () => echo(),
  component: Echo,
})

function Echo() {
  const { id } = Route.useParams()
  const { seenId, header } = Route.useLoaderData()
  return (
    <main>
      <p id="echo">{`${id}|${seenId}|${header}`}</p>
    </main>
  )
}
