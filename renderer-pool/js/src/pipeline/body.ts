/**
 * The body of a page:
 *
 * ```text
 * header  chunk (assets and state behind <head>, the entry at its end)  chunk*  late state  </body></html>  footer
 *                                                       ^ scripts between complete chunks
 * ```
 */

import type { Chunk, Chunks } from './chunks.ts'
import type { Injections } from './injections.ts'

export interface BodyPlan {
  header: string
  footer: string
  /** HTML for the document's head: state, styles, preloads. */
  head: string
  /** HTML for the end of the first chunk: what starts the client. */
  start: string
  chunks: Chunks
  injections: Injections
  /** The app's say on a chunk. */
  transform: ((html: string) => Promise<string>) | undefined
  /** HTML for the end of the document. */
  late: () => Promise<string>
  /** Resolves when the page may not be waited for any longer. */
  overdue: Promise<void>
  /** Whether an overdue page ends with what it has; else it breaks off. */
  endsOverdue: () => boolean
}

/** The last end of a document in a text. Solid writes on behind it: what comes is put before it. */
const DOCUMENT_END = /(?:<\/body>\s*)?<\/html>\s*(?![^]*<\/html>)/i
const BODY_END = /<\/body>/i
const SCRIPT = Symbol('script')
const OVERDUE = Symbol('overdue')

/** The page's parts in order. */
export async function* pieces(plan: BodyPlan): AsyncGenerator<string, void> {
  const { chunks, injections, transform } = plan
  let tail = ''
  let isFirst = true
  let next: Promise<Chunk | null> | undefined
  let mayWrite = false
  for (;;) {
    next ??= chunks.next()
    const written: Promise<typeof SCRIPT>[] = mayWrite ? [injections.arrival().then(() => SCRIPT)] : []
    const found = await Promise.race([next, ...written, plan.overdue.then(() => OVERDUE)])
    if (found === SCRIPT) {
      const text = injections.take()
      if (text !== '') yield text
      continue
    }
    if (found === OVERDUE) {
      if (!plan.endsOverdue()) throw new Error('the renderer did not end after it was aborted')
      chunks.cancel(undefined).catch(() => {})
      break
    }
    const chunk = found as Chunk | null
    if (chunk === null) break
    next = undefined
    let html = transform === undefined ? chunk.html : await transform(chunk.html)
    // The document's end goes behind everything that still comes.
    const end = tail === '' && html.includes('</') ? DOCUMENT_END.exec(html) : null
    if (end !== null) {
      tail = end[0]
      html = html.slice(0, end.index) + html.slice(end.index + tail.length)
    }
    if (isFirst) {
      isFirst = false
      html = behindHead(plan.header + html, plan.head)
      html = beforeBodyEnd(html, plan.start)
    }
    mayWrite = chunk.complete
    if (chunk.complete) html += injections.take()
    if (html !== '') yield html
  }
  if (isFirst) yield behindHead(plan.header, plan.head) + plan.start
  await Promise.race([injections.settled(), plan.overdue])
  injections.close()
  const rest = injections.take() + (await plan.late()) + tail + plan.footer
  if (rest !== '') yield rest
}

/** Puts `addition` behind the start tag of the head; without one, behind that of the document or its doctype. */
export function behindHead(html: string, addition: string): string {
  if (addition === '') return html
  const at = /<head(?:\s[^>]*)?>/i.exec(html) ?? /<html(?:\s[^>]*)?>/i.exec(html) ?? /^\s*<!doctype[^>]*>/i.exec(html)
  const end = at === null ? 0 : at.index + at[0].length
  return html.slice(0, end) + addition + html.slice(end)
}

function beforeBodyEnd(html: string, addition: string): string {
  if (addition === '') return html
  const at = BODY_END.exec(html)?.index ?? html.length
  return html.slice(0, at) + addition + html.slice(at)
}
