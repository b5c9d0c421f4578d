import { useSession } from '@tanstack/solid-start/server'

import { sessionConfig, type Visitor } from '@shared/service-session.server'

/** The visitor's session. */
export async function currentUser(): Promise<string | undefined> {
  const session = await useSession<Visitor>(sessionConfig())
  return session.data.user
}

/** Another user, or none. */
export async function setUser(user: string | undefined): Promise<void> {
  const session = await useSession<Visitor>(sessionConfig())
  if (user === undefined) await session.clear()
  else await session.update({ user })
}
