import { Await, createFileRoute } from '@tanstack/solid-router'

import { renderedFor, walkHere, walkLater } from '../functions/isolation'

export const Route = createFileRoute('/isolation/$id')({
  loader: async () => ({ later: walkLater(), walked: await walkHere() }),
  component: Here,
})

function Here() {
  const data = Route.useLoaderData()
  return (
    <section>
      <pre>{JSON.stringify({ ...data().walked, rendered: renderedFor() })}</pre>
      <Await promise={data().later} fallback={<p>Waiting</p>}>
        {(walked) => <pre>{JSON.stringify({ ...walked, rendered: renderedFor() })}</pre>}
      </Await>
    </section>
  )
}
