import { native, nativeInput } from '@isopod/app/native'
import { createServerFn } from '@tanstack/solid-start'
import { z } from 'zod'

export const listNativeThreads = createServerFn({ method: 'GET' })
  .validator(nativeInput('threads.list'))
  .handler(native('threads.list', { direct: true }))

export const renderMarkdown = createServerFn({ method: 'POST' })
  .validator(z.object({ markdown: z.string().max(10_000) }))
  .handler(native('markdown.render'))
