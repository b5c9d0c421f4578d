import { createServerFn } from '@tanstack/solid-start'
import { getCookie, setCookie } from '@tanstack/solid-start/server'

export const countVisit = createServerFn({ method: 'GET' }).handler(() => {
  const visits = (Number.parseInt(getCookie('visits') ?? '', 10) || 0) + 1
  setCookie('visits', String(visits), { httpOnly: true, sameSite: 'lax' })
  return visits
})
