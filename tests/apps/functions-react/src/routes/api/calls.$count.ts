import { native } from '@isopod/app/native'
import { createFileRoute } from '@tanstack/react-router'

/** The same call from the isolate, one after the other, so often: what one costs is a difference. */
export const Route = createFileRoute('/api/calls/$count')({
  server: {
    handlers: {
      GET: async ({ params }) => {
        const call = native('bench.echo')
        let sum = 0
        for (let left = Number(params.count); left > 0; left--) {
          sum += (await call({ data: { number: left } } as never)) as unknown as number
        }
        return Response.json({ sum })
      },
    },
  },
})
