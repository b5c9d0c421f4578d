import { createFileRoute, Outlet } from '@tanstack/solid-router'

import { renderedFor, walkBeside } from '../functions/isolation'

export const Route = createFileRoute('/isolation')({
  loader: () => walkBeside(),
  component: Beside,
})

function Beside() {
  const walked = Route.useLoaderData()
  return (
    <main>
      <pre>{JSON.stringify({ ...walked(), rendered: renderedFor() })}</pre>
      <Outlet />
    </main>
  )
}
