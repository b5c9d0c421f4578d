import { createFileRoute, Outlet } from '@tanstack/react-router'

import { getThreadOfLevel } from '../functions/bench'

export const Route = createFileRoute('/nested')({
  loader: () => getThreadOfLevel({ data: { id: '1' } }),
  component: Outer,
})

function Outer() {
  const thread = Route.useLoaderData()
  return (
    <main>
      <h1>{`Nested: ${thread.title}`}</h1>
      <Outlet />
    </main>
  )
}
