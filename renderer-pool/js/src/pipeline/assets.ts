/** The client's files that a page needs: the Vite plugin knows them and leaves them under {@link ASSETS}. */

import { attribute, nonceAttribute } from './state.ts'

/** Where the plugin's server entry leaves its {@link AssetSource}. */
export const ASSETS = Symbol.for('isopod.assets')

/** The files of one page, as URLs. */
export interface PageAssets {
  /** Modules that start the client. */
  entries: string[]
  /** Modules that those import, or that matched routes are made of. */
  preloads: string[]
  /** Style sheets. */
  styles: string[]
  /** HTML for the head as it is: in development, inline styles and Vite's own client. */
  head: string
}

export interface AssetSource {
  /** The document around the app, split at its outlet, if the app has an `index.html`. */
  template?: { header: string; footer: string } | undefined
  /** The files of a page that shows these modules. */
  collect(modules: readonly string[]): PageAssets | Promise<PageAssets>
}

export const NO_ASSETS: PageAssets = { entries: [], preloads: [], styles: [], head: '' }

export function assetSource(): AssetSource | undefined {
  return (globalThis as { [ASSETS]?: AssetSource })[ASSETS]
}

export async function collectAssets(modules: readonly string[]): Promise<PageAssets> {
  return (await assetSource()?.collect(modules)) ?? NO_ASSETS
}

/** For the head: a page shows nothing before its styles are there. */
export function headTags(assets: PageAssets, nonce: string | undefined): string {
  const nonced = nonceAttribute(nonce)
  const styles = assets.styles.map((href) => `<link rel="stylesheet" href="${attribute(href)}"${nonced}>`)
  const preloads = [...assets.entries, ...assets.preloads]
  const modules = preloads.map((href) => `<link rel="modulepreload" href="${attribute(href)}"${nonced}>`)
  return assets.head + styles.join('') + modules.join('')
}

/** For the end of the shell: the client starts as soon as it is loaded, while the page still streams. */
export function entryTags(assets: PageAssets, nonce: string | undefined): string {
  const nonced = nonceAttribute(nonce)
  return assets.entries.map((src) => `<script type="module" async src="${attribute(src)}"${nonced}></script>`).join('')
}

/** Values of `Link` header fields (RFC 8288) for a `103 Early Hints`. */
export function linkValues(assets: PageAssets): string[] {
  const styles = assets.styles.map((href) => `<${encodeURI(decode(href))}>; rel=preload; as=style`)
  const modules = [...assets.entries, ...assets.preloads]
  return [...styles, ...modules.map((href) => `<${encodeURI(decode(href))}>; rel=modulepreload; as=script`)]
}

function decode(href: string): string {
  try {
    return decodeURI(href)
  } catch {
    return href
  }
}
