import { Await, createFileRoute } from '@tanstack/react-router'
import { Suspense } from 'react'

const after = <T,>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value))

export const Route = createFileRoute('/deferred')({
  loader: () => ({ later: after(300, 'worth the wait') }),
  component: Deferred,
})

function Deferred() {
  const { later } = Route.useLoaderData()
  return (
    <Suspense fallback={<p id="pending">waiting</p>}>
      <Await promise={later}>{(value) => <p id="later">{value}</p>}</Await>
    </Suspense>
  )
}
