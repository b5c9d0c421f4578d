import { createServerFn } from '@tanstack/react-start'
import { getCookie, setCookie } from '@tanstack/react-start/server'

export const countVisit = createServerFn({ method: 'GET' }).handler(() => {
  const visits = (Number.parseInt(getCookie('visits') ?? '', 10) || 0) + 1
  setCookie('visits', String(visits), { httpOnly: true, sameSite: 'lax' })
  return visits
})
