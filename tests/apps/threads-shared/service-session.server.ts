/** What the session of the threads service holds; the worker seals it with the same name and password. */
export interface Visitor {
  user?: string
}

export function sessionConfig() {
  const password = process.env.SERVICE_PASSWORD
  if (!password) throw new Error('SERVICE_PASSWORD is not set: start the gateway with `--env SERVICE_PASSWORD`')
  // The tests speak HTTP, over which browsers do not send a secure cookie.
  return { name: 'service', password, cookie: { secure: false } }
}
