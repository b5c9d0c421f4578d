import { findThread, latestThreads, type Thread } from './threads.server'
import { wait } from './wait'

const IO_MS = 200

/** What a loader that asks a database at some distance waits for. */
export async function threadsAfterIo(): Promise<Thread[]> {
  await wait(IO_MS)
  return latestThreads(5)
}

/** One level of the nested page. */
export async function threadOf(id: string): Promise<Thread> {
  await Promise.resolve()
  const thread = findThread(id)
  if (!thread) throw new Error(`there is no thread ${id}`)
  return thread
}

/** Never returns: the turn of JavaScript that a server must survive. */
export function loopForEver(): never {
  for (;;) {
    // Nothing ends it from within.
  }
}
