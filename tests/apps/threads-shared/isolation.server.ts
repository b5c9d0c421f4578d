import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'

import { wait } from './wait'

const STEPS = 12
const MARK = 'x-mark'

/** What a job found on its way: whose it is, how often it looked, and where it found another's context. */
export interface Walked {
  mark: string
  looks: number
  wrong: string[]
}

type Dice = (sides: number) => number
type Look = (holds?: boolean) => void
type Way = (roll: Dice, look: Look, mark: string) => Promise<void>

const storage = new AsyncLocalStorage<{ mark: string }>()
const shared = new EventTarget()
const emitter = new EventEmitter()
emitter.setMaxListeners(0)

/** Everything that carries an async context; each looks wherever it comes back. */
const ways: Record<string, Way> = {
  async promise(roll, look) {
    for (let left = roll(5); left >= 0; left--) {
      await null
      look()
    }
  },
  async thenable(roll, look) {
    const thenable = {
      then(resolve: (value: number) => void) {
        look()
        setTimeout(() => {
          look()
          resolve(7)
        }, roll(4))
      },
    }
    look((await thenable) === 7)
  },
  timer: (roll, look) =>
    new Promise((done) =>
      setTimeout(() => {
        look()
        setTimeout(() => {
          look()
          done()
        }, roll(3))
      }, roll(8)),
    ),
  interval: (roll, look) =>
    new Promise((done) => {
      let left = roll(3)
      const timer = setInterval(() => {
        look()
        if (left-- > 0) return
        clearInterval(timer)
        done()
      }, 1)
    }),
  immediate: (_, look) => new Promise((done) => setImmediate(() => done(look()))),
  tick: (_, look) => new Promise((done) => process.nextTick(() => done(look()))),
  microtask: (_, look) => new Promise((done) => queueMicrotask(() => done(look()))),
  async stream(roll, look) {
    let left = 1 + roll(4)
    const source = new ReadableStream<number>({
      async pull(controller) {
        look()
        await wait(roll(3))
        look()
        if (left-- === 0) controller.close()
        else controller.enqueue(left)
      },
    })
    const through = new TransformStream<number, number>({
      transform(chunk, controller) {
        look()
        controller.enqueue(chunk)
      },
    })
    const reader = source.pipeThrough(through).getReader()
    while (!(await reader.read()).done) look()
    look()
  },
  async event(roll, look, mark) {
    const name = `event-${mark}-${roll(1000)}`
    const heard = new Promise<void>((done) =>
      shared.addEventListener(name, () => done(look()), { once: true }),
    )
    setTimeout(() => {
      look()
      shared.dispatchEvent(new Event(name))
    }, roll(4))
    await heard
  },
  async emitter(roll, look, mark) {
    const name = `emit-${mark}-${roll(1000)}`
    const heard = new Promise<void>((done) => emitter.once(name, () => done(look())))
    setTimeout(() => emitter.emit(name), roll(4))
    await heard
  },
  resource: (roll, look) =>
    new Promise((done) => {
      const resource = new AsyncResource('way')
      const here = () => resource.runInAsyncScope(() => done(look()))
      storage.run({ mark: 'another' }, () => setTimeout(here, roll(4)))
    }),
  bound: (roll, look) =>
    new Promise((done) => {
      const bound = AsyncLocalStorage.bind(() => done(look()))
      storage.exit(() => setTimeout(bound, roll(4)))
    }),
  async nested(roll, look) {
    const seen = await storage.run({ mark: 'inner' }, async () => {
      await wait(roll(3))
      return storage.getStore()?.mark
    })
    look(seen === 'inner')
  },
  async fetch(roll, look, mark) {
    const answer = await fetch(`${process.env.ORIGIN}/${mark}?wait=${roll(10)}`)
    look()
    look((await answer.text()) === `/${mark}`)
  },
}

/**
 * Goes through ways that the request's mark and `part` decide, with pauses that they decide too, and looks at each turn
 * whether the async context and the current request are still its own.
 */
export function walk(currentRequest: () => Request, part: number): Promise<Walked> {
  const mark = currentRequest().headers.get(MARK) ?? ''
  return storage.run({ mark }, () => walkMarked(currentRequest, mark, part))
}

async function walkMarked(currentRequest: () => Request, mark: string, part: number): Promise<Walked> {
  const names = Object.keys(ways)
  const roll = dice(Number.parseInt(mark.replace(/\D/g, ''), 10) * 8 + part)
  const walked: Walked = { mark, looks: 0, wrong: [] }
  for (let step = 0; step < STEPS; step++) {
    const name = names[(roll(names.length) + step) % names.length]!
    const look: Look = (holds = true) => {
      walked.looks += 1
      const [stored, requested] = [storage.getStore()?.mark, currentRequest().headers.get(MARK)]
      if (!holds || stored !== mark || requested !== mark) walked.wrong.push(`${name}: ${stored}, ${requested}`)
    }
    await ways[name]!(roll, look, mark)
    look()
    await wait(roll(6))
    look()
  }
  return walked
}

/** A response whose body walks while it is read. */
export function walkInBody(request: Request): Response {
  const mark = request.headers.get(MARK) ?? ''
  const encoder = new TextEncoder()
  let part = 4
  const body = storage.run(
    { mark },
    () =>
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          const walked = await walkMarked(() => request, mark, part)
          if (storage.getStore()?.mark !== mark) walked.wrong.push('the response')
          controller.enqueue(encoder.encode(JSON.stringify(walked) + '\n'))
          part += 1
          if (part === 6) controller.close()
        },
      }),
  )
  return new Response(body, { headers: { 'content-type': 'text/plain' } })
}

/** The mark of the request that a component is rendered for. */
export function markOf(request: Request): string {
  return request.headers.get(MARK) ?? ''
}

/** Numbers that a seed decides: a linear congruential generator. */
function dice(seed: number): Dice {
  let state = Math.imul(seed, 2654435761) >>> 0
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) % sides
  }
}
