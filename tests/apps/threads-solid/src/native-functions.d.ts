import '@isopod/app/native'

declare module '@isopod/app/native' {
  interface NativeFunctions {
    'threads.list': {
      input: { query?: string; limit?: number } | undefined
      output: { threads: NativeThread[]; total: number }
    }
    'markdown.render': {
      input: { markdown: string }
      output: { html: string; words: number }
    }
  }
}

interface NativeThread {
  id: string
  title: string
  messages: number
  updatedAt: string
}
