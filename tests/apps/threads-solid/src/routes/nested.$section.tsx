import { createFileRoute, Outlet } from '@tanstack/solid-router'

import { getThreadOfLevel } from '../functions/bench'

export const Route = createFileRoute('/nested/$section')({
  loader: ({ params }) => getThreadOfLevel({ data: { id: params.section } }),
  component: Section,
})

function Section() {
  const thread = Route.useLoaderData()
  return (
    <section>
      <h2>{thread().title}</h2>
      <Outlet />
    </section>
  )
}
