// Written by `fn-workers --emit-types`. Change the Rust types instead.

declare module '@isopod/app/native' {
  interface NativeFunctions {
    'markdown.render': { method: 'POST'; input: Render; output: Rendered }
    'threads.list': { method: 'GET'; input: List; output: Page }
  }
}

/** What is asked for. */
export type List = { query: string | null, limit: number | null, }

/** The threads, and how many there are beyond the limit. */
export type Page = { threads: Array<Thread>, total: number, }

/** What is rendered. */
export type Render = { markdown: string, }

/** What came of it. */
export type Rendered = { html: string, words: number, }

/** One thread of a list. */
export type Thread = { id: string, title: string, messages: number,
/** RFC 3339, in UTC. */
updatedAt: string, }

export {}
