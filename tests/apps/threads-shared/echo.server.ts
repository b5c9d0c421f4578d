import { wait } from './wait'

const MAX_WAIT_MS = 10

/** Reads the current request on both sides of a wait, to show that no other request took its place. */
export async function echoAfterWait(currentRequest: () => Request) {
  const before = currentRequest()
  await wait(Math.random() * MAX_WAIT_MS)
  const after = currentRequest()
  if (after !== before) throw new Error(`${before.url} became ${after.url} while it waited`)
  return {
    seenId: new URL(after.url).pathname.split('/').at(-1)!,
    header: after.headers.get('x-echo') ?? '',
  }
}
