import { QueryClient, QueryClientProvider, dehydrate, useQuery } from '@tanstack/react-query'
import { renderToReadableStream } from 'react-dom/server'

const thread = { queryKey: ['thread', 1], queryFn: async () => ({ title: 'first' }) }

function Title() {
  const { data } = useQuery(thread)
  return <h1>{data?.title}</h1>
}

export async function page() {
  const client = new QueryClient()
  await client.prefetchQuery(thread)
  const stream = await renderToReadableStream(
    <QueryClientProvider client={client}>
      <Title />
    </QueryClientProvider>,
  )
  const html = await new Response(stream).text()
  const state = dehydrate(client).queries.map(({ queryKey }) => queryKey)
  client.clear()
  return { html, state }
}
