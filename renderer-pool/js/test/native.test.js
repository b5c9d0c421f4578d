import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'

import { MissingHostError, native, nativeInput } from '@isopod/app/native'

const HOST = Symbol.for('isopod.host')

function installHost(callNative) {
  globalThis[HOST] = { callNative }
}

afterEach(() => {
  delete globalThis[HOST]
})

describe('with a host', () => {
  test('passes name and data on and returns the result', async () => {
    const calls = []
    installHost(async (name, data) => {
      calls.push({ name, data })
      return { total: 2 }
    })

    const result = await native('threads.list')({ data: { limit: 2 }, context: {} })

    assert.deepEqual(result, { total: 2 })
    assert.deepEqual(calls, [{ name: 'threads.list', data: { limit: 2 } }])
  })

  test('a call without data hands over undefined', async () => {
    installHost(async (_name, data) => data)
    assert.equal(await native('threads.list')(), undefined)
  })

  test('the given signal wins over that of the request', async () => {
    installHost(async (_name, _data, { signal }) => signal)
    const own = new AbortController().signal
    const request = { signal: new AbortController().signal }

    assert.equal(await native('a')({ signal: own, request }), own)
    assert.equal(await native('a')({ request }), request.signal)
  })

  test("rejects with the host's error", async () => {
    const refused = Object.assign(new Error('mailbox full'), { name: 'NativeError', status: 503 })
    installHost(() => Promise.reject(refused))
    await assert.rejects(native('threads.list')({}), refused)
  })

  test('may be made before the host is there', async () => {
    const handler = native('threads.list')
    installHost(async () => 'late')
    assert.equal(await handler({}), 'late')
  })
})

test('without a host it says what is missing and how to run it', async () => {
  await assert.rejects(native('threads.list')({}), (error) => {
    assert.ok(error instanceof MissingHostError)
    assert.equal(error.code, 'ERR_ISOPOD_NO_HOST')
    assert.match(error.message, /'threads\.list' runs in the Isopod gateway/)
    assert.match(error.message, /gateway --app dist/)
    return true
  })
})

test('refuses a name that is none', () => {
  for (const name of [undefined, '', 7]) assert.throws(() => native(name), TypeError)
})

test('an input is handed on as it is', () => {
  const data = { limit: 2 }
  assert.equal(nativeInput('threads.list')(data), data)
})
