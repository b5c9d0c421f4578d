import { createServerFn } from '@tanstack/react-start'
import { getRequest } from '@tanstack/react-start/server'

import { echoAfterWait } from '@shared/echo.server'

export const echo = createServerFn({ method: 'GET' }).handler(() => echoAfterWait(getRequest))
