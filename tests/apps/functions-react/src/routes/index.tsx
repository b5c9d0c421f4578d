import { createFileRoute } from '@tanstack/react-router'

import { listInJs, listInRust, orderInJs, orderInRust } from '../functions'

const input = { data: { word: 'session', limit: 20 } }
const lines = { data: { lines: [{ sku: 'a', count: 1, cents: 100 }] } }

export const Route = createFileRoute('/')({ component: Home })

function Home() {
  return (
    <main>
      <button onClick={() => listInJs(input)}>List in JS</button>
      <button onClick={() => listInRust(input)}>List in Rust</button>
      <button onClick={() => orderInJs(lines)}>Order in JS</button>
      <button onClick={() => orderInRust(lines)}>Order in Rust</button>
    </main>
  )
}
