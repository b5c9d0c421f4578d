import { Suspense } from 'react'
import { Await, useAsyncError, useLoaderData } from 'react-router'

import { useStore } from '../app.tsx'

export function Deferred() {
  const { now, later } = useLoaderData() as { now: string; later: Promise<string> }
  return (
    <>
      <h1 id="now">{now}</h1>
      <Suspense fallback={<p id="pending">waiting</p>}>
        <Await resolve={later} errorElement={<Failed />}>
          {(value: string) => <Late value={value} />}
        </Await>
      </Suspense>
    </>
  )
}

function Late({ value }: { value: string }) {
  const store = useStore()
  if (store && 'rendered' in store) store.rendered += 1
  return <p id="later">{value}</p>
}

function Failed() {
  return <p id="failed">{(useAsyncError() as Error).message}</p>
}
