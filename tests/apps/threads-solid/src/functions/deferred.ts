import { createServerFn } from '@tanstack/solid-start'

import { wait } from '@shared/wait'

const DELAY_MS = 300

export const getSlowly = createServerFn({ method: 'GET' }).handler(async () => {
  await wait(DELAY_MS)
  return `worth ${DELAY_MS} ms of patience`
})
