import { createServerFn } from '@tanstack/solid-start'
import { getRequest } from '@tanstack/solid-start/server'

import { echoAfterWait } from '@shared/echo.server'

export const echo = createServerFn({ method: 'GET' }).handler(() => echoAfterWait(getRequest))
