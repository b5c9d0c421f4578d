/** The apps under test, each with what it alone does. */
const APPS = [
  {
    name: 'react',
    variable: 'ISOPOD_URL_REACT',
    // React writes an error that a boundary caught to the console.
    caught: (message) => [`Error: ${message}`],
  },
  {
    name: 'solid',
    variable: 'ISOPOD_URL_SOLID',
    caught: () => [],
  },
]

/** The apps with the worker of the threads service; those that somebody serves. */
export function servicesUnderTest() {
  const served = APPS.map(({ name }) => ({ name, url: process.env[`ISOPOD_URL_SERVICE_${name.toUpperCase()}`] }))
  return served.filter(({ url }) => url).map(({ name, url }) => ({ name, url: new URL(url) }))
}

/** The app without Start, served by the gateway; `undefined` where nobody serves it. */
export function notesUnderTest() {
  const url = process.env.ISOPOD_URL_NOTES
  return url && { name: 'notes', url: new URL(url) }
}

const RUNTIMES = ['isopod', 'node']

/** What `/api/hello` must name as its runtime: the gateway, or the Node reference server. */
export const runtime = process.env.ISOPOD_RUNTIME ?? 'isopod'

export function appsUnderTest() {
  const missing = APPS.map((app) => app.variable).filter((variable) => !process.env[variable])
  if (missing.length > 0) {
    throw new Error(
      `set ${missing.join(' and ')} to the URL of a running server, such as http://127.0.0.1:3000, before these tests`,
    )
  }
  if (!RUNTIMES.includes(runtime)) {
    throw new Error(`ISOPOD_RUNTIME is '${runtime}', but must be one of ${RUNTIMES.join(', ')}`)
  }
  return APPS.map((app) => ({ ...app, url: new URL(process.env[app.variable]) }))
}
