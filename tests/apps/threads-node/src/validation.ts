import { z } from 'zod'

const search = z.object({ page: z.coerce.number().int().min(1), sort: z.enum(['new', 'old']).default('new') })

export async function validated(request: Request) {
  const parsed = search.safeParse(Object.fromEntries(new URL(request.url).searchParams))
  return parsed.success ? parsed.data : Response.json(parsed.error.issues.map(({ path }) => path.join('.')), { status: 400 })
}
