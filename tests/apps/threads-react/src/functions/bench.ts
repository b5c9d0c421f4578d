import { createServerFn } from '@tanstack/react-start'
import { z } from 'zod'

import { loopForEver, threadOf, threadsAfterIo } from '@shared/bench.server'
import { latestThreads } from '@shared/threads.server'

const idInput = z.object({ id: z.string().min(1).max(32) })

export const getSlowThreads = createServerFn({ method: 'GET' }).handler(() => threadsAfterIo())

export const getThreadOfLevel = createServerFn({ method: 'GET' })
  .validator(idInput)
  .handler(({ data }) => threadOf(data.id))

export const countLetters = createServerFn({ method: 'POST' })
  .validator(z.object({ text: z.string().max(10_000) }))
  .handler(({ data }) => ({ letters: data.text.length, threads: latestThreads(3).map((thread) => thread.title) }))

export const spin = createServerFn({ method: 'GET' }).handler(() => loopForEver())
