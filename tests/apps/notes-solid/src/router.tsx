import { createRootRoute, createRoute, createRouter, Outlet, redirect } from '@tanstack/solid-router'
import { createResource, createSignal, onCleanup, Suspense } from 'solid-js'

const after = <T,>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value))

const root = createRootRoute({
  component: () => <Outlet />,
  notFoundComponent: () => <h1>Nothing here</h1>,
})

function Home() {
  const [count, setCount] = createSignal(0)
  return (
    <button id="counter" onClick={() => setCount(count() + 1)}>
      Count: {count()}
    </button>
  )
}

const home = createRoute({ getParentRoute: () => root, path: '/', component: Home })

const note = createRoute({
  getParentRoute: () => root,
  path: '/notes/$id',
  loader: ({ params }) => ({ title: `Note ${params.id}` }),
  component: () => {
    const data = note.useLoaderData()
    return <h1 id="note">{data().title}</h1>
  },
})

const old = createRoute({
  getParentRoute: () => root,
  path: '/old',
  loader: () => {
    throw redirect({ href: '/notes/1', statusCode: 308 })
  },
})

function Later(props: { load: () => Promise<string> }) {
  const [value] = createResource(() => props.load())
  onCleanup(() => console.info('disposed of a page'))
  return (
    <Suspense fallback={<p id="pending">waiting</p>}>
      <p id="later">{value()}</p>
    </Suspense>
  )
}

const deferred = createRoute({
  getParentRoute: () => root,
  path: '/deferred',
  component: () => <Later load={() => after(500, 'worth the wait')} />,
})

const never = createRoute({
  getParentRoute: () => root,
  path: '/never',
  component: () => <Later load={() => new Promise(() => {})} />,
})

const routeTree = root.addChildren([home, note, old, deferred, never])

export const getRouter = () => createRouter({ routeTree })
