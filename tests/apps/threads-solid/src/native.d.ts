// Written by `threads-worker --emit-types`. Change the Rust types instead.

declare module '@isopod/app/native' {
  interface NativeFunctions {
    'service.follow': { method: 'GET'; input: List; output: ReadableStream<Summary> }
    'service.list': { method: 'GET'; input: List; output: Page }
    'service.read': { method: 'GET'; input: ThreadId; output: Thread }
    'service.remove': { method: 'POST'; input: ThreadId; output: null }
    'service.rename': { method: 'POST'; input: Rename; output: Thread }
    'service.signIn': { method: 'POST'; input: SignIn; output: null }
    'service.star': { method: 'POST'; input: Star; output: null }
    'service.upload': { method: 'POST'; input: FormData; output: Thread }
    'service.wait': { method: 'GET'; input: null; output: null }
    'service.waits': { method: 'GET'; input: null; output: Waits }
  }
  interface NativeRoutes {
    '/service/feed/$limit': 'GET' | 'POST'
  }
}

/** What is asked for. */
export type List = {
/** What the title holds. */
query: string | null,
/** Those with a star alone. */
starred: boolean | null,
/** How many at most; 20 unless said otherwise. */
limit: number | null, }

/** The latest threads, and how many there are beyond the limit. */
export type Page = { threads: Array<Summary>, total: number, }

/** A new title and new labels. */
export type Rename = { id: number, title: string,
/** Those that it has stay when there are none here. */
labels: Array<string> | null, }

/** A name is all that it takes. */
export type SignIn = { name: string, }

/** A star, or none. */
export type Star = { id: number, starred: boolean, }

/** A thread in a list. */
export type Summary = { id: number, title: string, starred: boolean, updatedAt: Date, }

/** A thread. */
export type Thread = { labels: Array<string>,
/** The beginning of its text. */
text: string,
/** Words of the whole text. */
words: number,
/** Bytes of the whole text. */
bytes: number, id: number, title: string, starred: boolean, updatedAt: Date, }

/** Which thread. */
export type ThreadId = { id: number, }

/** How many calls wait, and how many were left by their callers. */
export type Waits = { running: number, cancelled: number, }

export {}
