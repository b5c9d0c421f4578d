/** What a page needs of the client's build, read from Vite's manifest. */

/**
 * The files of the entry and of each module that is loaded on demand.
 *
 * @param manifest Vite's `manifest.json`
 * @param {string} entry the entry's key
 * @param {string} base the URL below which the client is served
 */
export function filesOf(manifest, entry, base) {
  const modules = {}
  for (const [key, chunk] of Object.entries(manifest)) {
    if (chunk.isDynamicEntry) modules[key] = needs(manifest, key, base)
  }
  return { entry: needs(manifest, entry, base), modules }
}

/** A chunk with everything that it imports, itself last. */
function needs(manifest, key, base) {
  const [scripts, styles] = [new Set(), new Set()]
  const seen = new Set()
  const visit = (key) => {
    const chunk = manifest[key]
    if (chunk === undefined || seen.has(key)) return
    seen.add(key)
    for (const imported of chunk.imports ?? []) visit(imported)
    for (const css of chunk.css ?? []) styles.add(base + css)
    if (chunk.file.endsWith('.css')) styles.add(base + chunk.file)
    else scripts.add(base + chunk.file)
  }
  visit(key)
  return { scripts: [...scripts], styles: [...styles] }
}
