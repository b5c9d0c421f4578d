import { createFileRoute } from '@tanstack/react-router'
import { createServerFn } from '@tanstack/react-start'
import { getRequestHeader } from '@tanstack/react-start/server'

const whoAmI = createServerFn().handler(({ context }) => {
  const seen = (context ?? {}) as { user?: string; appProps?: { user?: string } }
  return { user: seen.user ?? seen.appProps?.user ?? 'nobody', entry: getRequestHeader('x-entry') ?? 'none' }
})

export const Route = createFileRoute('/')({
  loader: async ({ context }) => ({ ...(await whoAmI()), router: context.router }),
  component: Home,
})

function Home() {
  const { user, entry, router } = Route.useLoaderData()
  return <h1 id="home">{`entry ${entry}, user ${user}, router ${router}`}</h1>
}
