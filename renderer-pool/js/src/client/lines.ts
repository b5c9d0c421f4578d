/** JSON lines of seroval's cross-referenced nodes. */

import { fromCrossJSON, type SerovalNode } from 'seroval'

/** The value of the first line. Its promises settle as later lines come, and reject when the stream breaks off. */
export async function valueOfLines(response: Response): Promise<unknown> {
  const lines = linesOf(response)
  const refs = new Map<number, unknown>()
  const read = (line: string) => fromCrossJSON<unknown>(JSON.parse(line) as SerovalNode, { refs })
  const first = await lines.next()
  if (first.done) throw new Error('the server sent no data')
  const value = read(first.value)
  void rest(lines, read)
  return value
}

async function rest(lines: AsyncGenerator<string>, read: (line: string) => unknown) {
  try {
    for await (const line of lines) read(line)
  } catch (error) {
    console.error('the rest of the data did not arrive:', error)
  }
}

async function* linesOf(response: Response): AsyncGenerator<string, void> {
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let held = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    const lines = (held + value).split('\n')
    held = lines.pop() ?? ''
    yield* lines
  }
  if (held !== '') yield held
}
