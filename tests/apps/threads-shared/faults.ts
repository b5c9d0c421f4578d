const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

let turns = 0

// Counts, since builds drop calls of functions without an effect.
function spin(): never {
  while (true) turns += 1
}

/** V8 unrolls the loop inside `endsWith`. */
function spinAround(place: { name: string }) {
  while (place.name.endsWith('unrolled')) turns += 1
}

function storm(): Promise<unknown> {
  return Promise.all([Promise.resolve().then(storm), Promise.resolve().then(() => {})])
}

const ways: Record<string, () => unknown> = {
  loop: spin,
  later: async () => {
    await sleep(10)
    spin()
  },
  unrolled: async () => {
    await sleep(1)
    spinAround({ name: 'unrolled' })
  },
  regexp: () => /^(a+)+$/.test(`${'a'.repeat(60)}b`),
  microtasks: async () => {
    for (let links = 0; ; links++) await links
  },
  promises: storm,
  throws: () => {
    throw new Error('thrown by a loader', { cause: new RangeError('its cause') })
  },
  never: () => new Promise(() => {}),
}

/** What a loader may do wrong, by name. */
export async function misbehave(kind: string): Promise<string> {
  await ways[kind]?.()
  return kind
}

/** A component that does not come to an end. */
export function misbehaveInRender(kind: string): string {
  if (kind === 'render') spin()
  return kind
}
