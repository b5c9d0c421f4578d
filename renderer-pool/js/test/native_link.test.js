import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { describe, test } from 'node:test'

import { Decoder, FROM, frame, INITIAL_WINDOW, PREFACE, TO, u32 } from '../src/vite/native/frames.js'
import { Link } from '../src/vite/native/link.js'

const text = (value) => Buffer.concat([u32(value.length), Buffer.from(value)])
const head = (status, ...fields) => Buffer.concat([Buffer.of(status & 255, status >> 8), u32(fields.length / 2), ...fields.map(text)])

/** A link, and the other end of it: what has come, and what it says. */
async function linked(linkFor) {
  const [ours, theirs] = duplexPair()
  const [decoder, frames] = [new Decoder(), []]
  let wake = () => {}
  theirs.on('data', (bytes) => {
    frames.push(...decoder.decode(bytes))
    wake()
  })
  const link = new Link(ours, linkFor)
  theirs.write(PREFACE)
  await link.opened
  return {
    link,
    end: () => theirs.end(),
    say: (kind, id, ...payload) => theirs.write(frame(kind, id, ...payload)),
    /** The frames up to and with the first that is wanted. */
    async until(wanted) {
      for (;;) {
        const at = frames.findIndex(wanted)
        if (at >= 0) return frames.splice(0, at + 1)
        await new Promise((again) => (wake = again))
      }
    },
  }
}

const request = (body) => new Request('http://localhost/_serverFn/x', body ? { method: 'POST', body } : undefined)

describe('a link to a worker', () => {
  test('carries a request and a response, whose bytes are given credit', async () => {
    const { link, say, until } = await linked()
    const answer = link.fetch('threads.list', request())
    const [asked] = await until(({ kind }) => kind === TO.request)
    assert.ok(asked.payload.includes('threads.list') && asked.payload.includes('http://localhost/_serverFn/x'))
    say(FROM.head, asked.id, head(201, 'set-cookie', 'a=1', 'set-cookie', 'b=2'))
    say(FROM.body, asked.id, Buffer.from('half '))
    say(FROM.body, asked.id, Buffer.from('whole'))
    say(FROM.end, asked.id)
    const response = await answer
    assert.deepEqual([response.status, response.headers.getSetCookie()], [201, ['a=1', 'b=2']])
    assert.equal(await response.text(), 'half whole')
    const credits = await until((found) => found.kind === TO.credit && found.payload.readUInt32LE(0) === 5)
    assert.equal(credits.length, 1)
  })

  test('takes a response in one piece', async () => {
    const { link, say, until } = await linked()
    const answers = [link.fetch('threads.list', request()), link.fetch('threads.gone', request())]
    const first = await until(({ kind }) => kind === TO.request)
    const second = await until(({ kind }) => kind === TO.request)
    say(FROM.whole, first[0].id, head(201, 'content-type', 'text/plain'), Buffer.from('whole'))
    say(FROM.whole, second[0].id, head(204))
    const [whole, empty] = await Promise.all(answers)
    assert.deepEqual([whole.status, whole.headers.get('content-type'), await whole.text()], [201, 'text/plain', 'whole'])
    assert.deepEqual([empty.status, empty.body], [204, null])
  })

  test('sends no more of a body than the worker has room for', async () => {
    const { link, say, until } = await linked()
    const bytes = INITIAL_WINDOW + 1000
    const answer = link.fetch('x', request(new Uint8Array(bytes)))
    let sent = 0
    const [{ id }] = await until(({ kind, payload }) => kind === TO.body && (sent += payload.length) === INITIAL_WINDOW)
    say(FROM.credit, id, u32(999))
    await until(({ kind, payload }) => kind === TO.body && payload.length === 999)
    say(FROM.credit, id, u32(5000))
    const rest = await until(({ kind }) => kind === TO.bodyEnd)
    assert.deepEqual(rest.map(({ payload }) => payload.length), [1, 0])
    say(FROM.failed, id, text('it broke'))
    await assert.rejects(answer, /it broke/)
  })

  test('cancels what nobody waits for', async () => {
    const { link, until } = await linked()
    const left = new AbortController()
    const answer = link.fetch('x', request(), left.signal)
    const [{ id }] = await until(({ kind }) => kind === TO.request)
    left.abort(new Error('gone'))
    await assert.rejects(answer, /gone/)
    const [cancel] = await until(({ kind }) => kind === TO.cancel)
    assert.equal(cancel.id, id)
  })

  test("hands on what one worker's function calls in another", async () => {
    const far = await linked()
    const near = await linked(async (name) => (name === 'far' ? far.link : Promise.reject(new Error(`no ${name}`))))
    const left = new AbortController()
    const answer = near.link.fetch('x', request(), left.signal)
    const [{ id }] = await near.until(({ kind }) => kind === TO.request)
    const call = Buffer.concat([text('far'), Buffer.from('the rest as it is')])

    near.say(FROM.call, id, u32(5), call)
    const [asked] = await far.until(({ kind }) => kind === TO.call)
    assert.ok(asked.payload.equals(call))
    far.say(FROM.reply, asked.id, Buffer.from('outcome'))
    const [reply] = await near.until(({ kind }) => kind === TO.reply)
    assert.deepEqual([reply.id, reply.payload.readUInt32LE(0), reply.payload.toString('latin1', 4)], [id, 5, 'outcome'])

    near.say(FROM.call, id, u32(6), text('none'))
    const [unknown] = await near.until(({ kind }) => kind === TO.reply)
    assert.deepEqual([...unknown.payload.subarray(0, 7)], [6, 0, 0, 0, 1, 404 & 255, 404 >> 8])
    assert.match(unknown.payload.toString('latin1'), /no none/)

    near.say(FROM.call, id, u32(7), call)
    const [withdrawn] = await far.until(({ kind }) => kind === TO.call)
    near.say(FROM.callCancel, id, u32(7))
    await far.until((found) => found.kind === TO.cancel && found.id === withdrawn.id)

    near.say(FROM.call, id, u32(8), call)
    const [open] = await far.until(({ kind }) => kind === TO.call)
    left.abort(new Error('gone'))
    await assert.rejects(answer, /gone/)
    await far.until((found) => found.kind === TO.cancel && found.id === open.id)
  })

  test('fails what is open when the worker ends', async () => {
    const { link, until, end } = await linked()
    const answer = link.fetch('x', request())
    await until(({ kind }) => kind === TO.request)
    end()
    await assert.rejects(answer, /the fn worker has ended/)
    await assert.rejects(link.fetch('x', request()), /the fn worker has ended/)
  })

  test('refuses a worker of another version', async () => {
    const [ours, theirs] = duplexPair()
    const link = new Link(ours)
    theirs.write('ISOPOD\0\x01')
    await assert.rejects(link.opened, /of another version of Isopod/)
  })
})
