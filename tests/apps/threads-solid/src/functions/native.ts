import { native } from '@isopod/app/native'
import { createServerFn } from '@tanstack/solid-start'
import { z } from 'zod'

export const listNativeThreads = createServerFn({ method: 'GET' }).handler(native('threads.list'))

export const renderMarkdown = createServerFn({ method: 'POST' })
  .validator(z.object({ markdown: z.string().max(10_000) }))
  .handler(native('markdown.render'))
