import { native, nativeInput } from '@isopod/app/native'
import { createServerFn } from '@tanstack/react-start'

import { checkList, checkOrder, list, order } from './work'

export const listInJs = createServerFn({ method: 'GET' })
  .validator(checkList)
  .handler(({ data }) => list(data))

export const listInRust = createServerFn({ method: 'GET' })
  .validator(nativeInput('bench.list'))
  .handler(native('bench.list', { direct: true }))

export const orderInJs = createServerFn({ method: 'POST' })
  .validator(checkOrder)
  .handler(({ data }) => order(data))

export const orderInRust = createServerFn({ method: 'POST' })
  .validator(nativeInput('bench.order'))
  .handler(native('bench.order', { direct: true }))
