/** What both functions do, as `benches/src/bin/functions-worker/work.rs` does it. */

export type ListInput = { word: string; limit: number }
export type Item = { id: string; title: string; messages: number; updatedAt: string }

const WORDS = ['session', 'cookies', 'router', 'loader', 'stream', 'hydrate', 'cache', 'worker', 'thread', 'isolate']

const items: Item[] = Array.from({ length: 100 }, (_, at) => ({
  id: String(at + 1),
  title: `${WORDS[at % 10]} and ${WORDS[Math.floor(at / 10)]}`,
  messages: (at * 7) % 50,
  updatedAt: `2026-03-${String((at % 28) + 1).padStart(2, '0')}T12:00:00Z`,
}))

export function checkList(input: ListInput): ListInput {
  if (typeof input?.word !== 'string' || input.word.length > 100) throw new Error('word: at most 100 characters')
  if (!Number.isInteger(input.limit) || input.limit < 1 || input.limit > 100) throw new Error('limit: 1 to 100')
  return input
}

export function list({ word, limit }: ListInput): { items: Item[]; total: number } {
  const found = items.filter((item) => item.title.includes(word))
  return { items: found.slice(0, limit), total: found.length }
}

export type OrderInput = { lines: { sku: string; count: number; cents: number }[] }

export function checkOrder(input: OrderInput): OrderInput {
  if (!Array.isArray(input?.lines) || input.lines.length > 100) throw new Error('lines: at most 100')
  for (const { sku, count, cents } of input.lines) {
    if (typeof sku !== 'string' || !Number.isInteger(count) || !Number.isInteger(cents)) throw new Error('lines: sku, count, cents')
  }
  return input
}

export function order({ lines }: OrderInput) {
  const priced = lines.map(({ sku, count, cents }) => ({ sku, cents: count * cents }))
  return { lines: priced, cents: priced.reduce((sum, line) => sum + line.cents, 0) }
}
