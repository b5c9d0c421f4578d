// Written by `functions-worker --emit-types`. Change the Rust types instead.

declare module '@isopod/app/native' {
  interface NativeFunctions {
    'bench.echo': { method: 'GET'; input: Echo; output: number }
    'bench.list': { method: 'GET'; input: ListInput; output: Page }
    'bench.order': { method: 'POST'; input: OrderInput; output: Order }
  }
}

/** A number to give back. */
export type Echo = { number: number, }

/** One of what there is. */
export type Item = { id: string, title: string, messages: number, updatedAt: string, }

/** A line of it. */
export type Line = { sku: string, cents: number, }

/** A line of it. */
export type LineInput = { sku: string, count: number, cents: number, }

/** What is looked for. */
export type ListInput = { word: string, limit: number, }

/** What it costs. */
export type Order = { lines: Array<Line>, cents: number, }

/** What is ordered. */
export type OrderInput = { lines: Array<LineInput>, }

/** What was found. */
export type Page = { items: Array<Item>, total: number, }

export {}
