const DEFAULTS = {
  selfContained: true,
  external: [],
  manifest: true,
  precompress: true,
  pages: true,
  entries: {},
  native: undefined,
}

/**
 * The options with their defaults.
 *
 * @throws {TypeError} at a name that is none, or at a value of another kind
 */
export function readOptions(given = {}) {
  for (const [name, value] of Object.entries(given)) {
    if (!(name in DEFAULTS)) {
      const known = Object.keys(DEFAULTS).join(', ')
      throw new TypeError(`isopod(): there is no option '${name}'; there are ${known}`)
    }
    const wanted = DEFAULTS[name]
    // Read where it is used.
    if (wanted === undefined) continue
    const fits = Array.isArray(wanted)
      ? Array.isArray(value) && value.every((item) => typeof item === 'string')
      : typeof value === typeof wanted
    if (!fits) {
      const kind = Array.isArray(wanted) ? 'a list of package names' : `a ${typeof wanted}`
      throw new TypeError(`isopod(): '${name}' is ${JSON.stringify(value)}, it must be ${kind}`)
    }
  }
  return { ...DEFAULTS, ...given }
}
