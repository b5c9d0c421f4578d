/** Which requests a worker's routes answer, by their patterns in TanStack's syntax. */

/** The variable part of a segment, `{$name}`, `{-$name}` or `{$}`, with what stands around it. */
const BRACED = /^([^{}]*)\{(-?)\$([^{}]*)\}([^{}]*)$/u

/** Characters that stand for what was in brackets. */
const FIRST_ESCAPED = 0xf0000
const ESCAPED = /[\u{f0000}-\u{fffff}]/gu

/**
 * @param {Iterable<string>} patterns
 * @returns {(path: string) => boolean} whether any of them matches a request's path, as it was sent
 */
export function matcherOf(patterns) {
  const expressions = [...patterns].map(expressionOf)
  return (path) => {
    const decoded = decode(path)
    return decoded !== undefined && expressions.some((expression) => expression.test(decoded))
  }
}

/** A pattern as a regular expression for a whole path: case and a slash at the end make no difference. */
function expressionOf(pattern) {
  const segments = pattern.split('/').filter((segment) => segment !== '')
  return new RegExp(`^${segments.map(segmentOf).join('')}/?$`, 'iu')
}

function segmentOf(written) {
  const escaped = []
  const segment = written.replaceAll(/\[(.[^\]]*)\]/gsu, (_, text) => String.fromCodePoint(FIRST_ESCAPED + escaped.push(text) - 1))
  const literal = (text) => quote(text.replaceAll(ESCAPED, (char) => escaped[char.codePointAt(0) - FIRST_ESCAPED]))
  if (segment === '$') return '(?:/.*)?'
  if (segment.startsWith('$')) return '/[^/]+'
  const [whole, before, optional, name, after] = BRACED.exec(segment) ?? []
  if (whole === undefined) return `/${literal(segment)}`
  const [prefix, suffix] = [literal(before), literal(after)]
  if (name === '') return `/${prefix}.*${suffix}`
  return optional ? `(?:/${prefix}[^/]+${suffix})?` : `/${prefix}[^/]+${suffix}`
}

function quote(text) {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')
}

function decode(path) {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
