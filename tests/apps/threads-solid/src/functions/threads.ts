import { createServerFn } from '@tanstack/solid-start'
import { notFound } from '@tanstack/solid-router'
import { getCookie, setCookie } from '@tanstack/solid-start/server'
import { z } from 'zod'

import { findThread, latestThreads } from '@shared/threads.server'

const threadInput = z.object({ id: z.string().min(1).max(32) })

const renameInput = threadInput.extend({
  title: z.string().trim().min(3, 'The title needs at least 3 characters').max(60),
})

export const listThreads = createServerFn({ method: 'GET' }).handler(() => latestThreads(20))

export const getThread = createServerFn({ method: 'GET' })
  .validator(threadInput)
  .handler(({ data }) => {
    const thread = findThread(data.id)
    if (!thread) throw notFound()
    return { ...thread, title: getCookie(renameCookie(data.id)) ?? thread.title }
  })

export const renameThread = createServerFn({ method: 'POST' })
  .validator((input: { id: string; title: string }) => {
    const { data, error } = renameInput.safeParse(input)
    if (error) throw new Error(error.issues.map((issue) => issue.message).join('. '))
    return data
  })
  .handler(({ data }) => {
    if (!findThread(data.id)) throw notFound()
    setCookie(renameCookie(data.id), data.title, { httpOnly: true, sameSite: 'lax' })
  })

/** A new title lives with the visitor, so that all server processes agree on it. */
function renameCookie(id: string): string {
  return `title-${id}`
}
