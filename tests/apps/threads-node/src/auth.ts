import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db'

import { pool } from './database'

const create = () =>
  betterAuth({
    baseURL: 'http://app.test',
    secret: 'a-secret-for-tests-alone-0123456789',
    database: pool(),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
  })

let shared: ReturnType<typeof create> | undefined

export const auth = () => (shared ??= create())

export async function migrate() {
  const { runMigrations, toBeCreated } = await getMigrations(auth().options)
  await runMigrations()
  return { created: toBeCreated.length }
}

export async function guarded(request: Request) {
  const session = await auth().api.getSession({ headers: request.headers })
  return session
    ? Response.json({ hello: session.user.email })
    : Response.json({ error: 'sign in first' }, { status: 401 })
}
