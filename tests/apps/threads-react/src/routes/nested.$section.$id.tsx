import { createFileRoute } from '@tanstack/react-router'

import { getThreadOfLevel } from '../functions/bench'

export const Route = createFileRoute('/nested/$section/$id')({
  loader: ({ params }) => getThreadOfLevel({ data: { id: params.id } }),
  component: Leaf,
})

function Leaf() {
  const thread = Route.useLoaderData()
  return <p id="nested-leaf">{`${thread.title} by ${thread.author}`}</p>
}
