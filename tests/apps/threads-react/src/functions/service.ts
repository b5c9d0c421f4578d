import { native, nativeInput } from '@isopod/app/native'
import { createServerFn } from '@tanstack/react-start'

import { currentUser, setUser } from '../session.server'

/** Passes through the bundle: from loaders, other server functions, server routes, and browsers. */
export const listThreads = createServerFn({ method: 'GET' })
  .validator(nativeInput('service.list'))
  .handler(native('service.list'))

/** A browser's call goes from the gateway to the worker. */
export const searchThreads = createServerFn({ method: 'GET' })
  .validator(nativeInput('service.list'))
  .handler(native('service.list', { direct: true }))

export const readThread = createServerFn({ method: 'GET' })
  .validator(nativeInput('service.read'))
  .handler(native('service.read'))

export const renameThread = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.rename'))
  .handler(native('service.rename'))

export const renameDirectly = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.rename'))
  .handler(native('service.rename', { direct: true }))

export const starThread = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.star'))
  .handler(native('service.star', { direct: true }))

export const uploadThread = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.upload'))
  .handler(native('service.upload', { direct: true }))

export const uploadThroughBundle = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.upload'))
  .handler(native('service.upload'))

/** A stream of threads, two ways. */
export const followDirectly = createServerFn({ method: 'GET' })
  .validator(nativeInput('service.follow'))
  .handler(native('service.follow', { direct: true }))

export const followThroughBundle = createServerFn({ method: 'GET' })
  .validator(nativeInput('service.follow'))
  .handler(native('service.follow'))

export const removeThread = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.remove'))
  .handler(native('service.remove'))

export const waitThroughBundle = createServerFn({ method: 'GET' }).handler(native('service.wait'))
export const waitDirectly = createServerFn({ method: 'GET' }).handler(native('service.wait', { direct: true }))
export const countWaits = createServerFn({ method: 'GET' }).handler(native('service.waits', { direct: true }))

/** The session is sealed in Rust, and read in JavaScript below. */
export const signIn = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.signIn'))
  .handler(native('service.signIn', { direct: true }))

/** The session is sealed in JavaScript, and read in Rust. */
export const becomeGuest = createServerFn({ method: 'POST' }).handler(() => setUser('Guest'))

export const signOut = createServerFn({ method: 'POST' }).handler(() => setUser(undefined))

export const whoAmI = createServerFn({ method: 'GET' }).handler(async () => (await currentUser()) ?? 'nobody')

/** A server function in JavaScript that calls those in Rust. */
export const countThreads = createServerFn({ method: 'GET' }).handler(async () => {
  const [all, starred] = await Promise.all([
    listThreads({ data: { limit: 1 } }),
    listThreads({ data: { limit: 1, starred: true } }),
  ])
  return { all: all.total, starred: starred.total }
})
