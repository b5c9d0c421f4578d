/** What a request keeps for itself: made in `onRequest`, filled while the page renders, read again by the client. */
export class RequestStore {
  /** Made anew for each request, so that two requests never share one. */
  readonly id = crypto.randomUUID()
  readonly locale: string
  readonly visits: number
  /** Counted by components, also by those behind the shell. */
  rendered = 0

  constructor(locale: string, visits: number) {
    this.locale = locale
    this.visits = visits
  }
}

export interface ClientStore {
  id: string
  locale: string
  visits: number
}
