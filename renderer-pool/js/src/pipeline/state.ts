/** State on its way to the client: scripts that `@isopod/app/client` reads. */

import { Feature, serialize } from 'seroval'

/** Stacks tell visitors about the server. */
const WITHOUT_STACKS = { disabledFeatures: Feature.ErrorPrototypeStack }

/** `$isopod` as its first script makes it: `s` the state, `d` who waits for the late state, `e` whether it came. */
const HOLDER = 'self.$isopod??={s:Object.create(null),d:[],e:0}'

export function script(nonce: string | undefined, code: string): string {
  return `<script${nonceAttribute(nonce)}>${code};document.currentScript.remove()</script>`
}

export function nonceAttribute(nonce: string | undefined): string {
  return nonce === undefined ? '' : ` nonce="${attribute(nonce)}"`
}

/** Text as the value of an attribute in double quotes. */
export function attribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}

/** What of the state the client has already. */
export class StateWriter {
  readonly #sent = new Map<string, string>()

  /**
   * A script with what is new in `state`; with `last` it also says that nothing more comes. '' where there is nothing
   * to say.
   *
   * @throws when a value cannot be serialised; names its key
   */
  write(state: Record<string, unknown>, nonce: string | undefined, last: boolean): string {
    const fresh: string[] = []
    for (const [key, value] of Object.entries(state)) {
      const text = this.#serialize(key, value)
      if (this.#sent.get(key) === text) continue
      this.#sent.set(key, text)
      // As entries: in a literal, `__proto__` would not be a key.
      fresh.push(`[${JSON.stringify(key).replaceAll('<', '\\x3C')},${text}]`)
    }
    const parts: string[] = []
    if (fresh.length > 0) parts.push(`for(const[k,v]of[${fresh.join(',')}])self.$isopod.s[k]=v`)
    if (last) parts.push('self.$isopod.e=1;for(const f of self.$isopod.d.splice(0))f()')
    return parts.length === 0 ? '' : script(nonce, [HOLDER, ...parts].join(';'))
  }

  #serialize(key: string, value: unknown): string {
    try {
      return serialize(value, WITHOUT_STACKS)
    } catch (error) {
      throw new Error(`the state '${key}' cannot be serialised: ${(error as Error).message}`, { cause: error })
    }
  }
}
