import { appendResponseHeader, getRequest } from '@tanstack/react-start/server'
import { clearSession, getSession, H3Event, updateSession } from 'h3'

import { sessionConfig, type Visitor } from '@shared/service-session.server'

const KEYS = { saltBits: 256, iterations: 1, minPasswordlength: 32 }

/** As the worker seals. */
const config = () => ({
  ...sessionConfig(),
  seal: {
    ttl: 0,
    timestampSkewSec: 60,
    localtimeOffsetMsec: 0,
    encryption: { ...KEYS, algorithm: 'aes-256-cbc' as const },
    integrity: { ...KEYS, algorithm: 'sha256' as const },
  },
})

/** The visitor's session, as h3 seals it. This version of Start has none of its own. */
export async function currentUser(): Promise<string | undefined> {
  const session = await getSession<Visitor>(new H3Event(getRequest()), config())
  return session.data.user
}

/** Another user, or none. */
export async function setUser(user: string | undefined): Promise<void> {
  const event = new H3Event(getRequest())
  if (user === undefined) await clearSession(event, config())
  else await updateSession<Visitor>(event, config(), { user })
  for (const cookie of event.res.headers.getSetCookie()) appendResponseHeader('set-cookie', cookie)
}
