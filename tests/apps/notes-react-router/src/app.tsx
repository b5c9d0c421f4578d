import { createContext, use, useEffect, useState, type ReactNode } from 'react'

import './app.css'
import type { ClientStore, RequestStore } from './store.ts'

const Store = createContext<ClientStore | RequestStore | undefined>(undefined)

export const useStore = () => use(Store)

/** The document: the same tree on the server and, over the whole document, on the client. */
export function App({ store, children }: { store?: ClientStore | RequestStore; children?: ReactNode }) {
  return (
    <Store value={store}>
      <html lang={store?.locale ?? 'en'} data-request={store?.id} data-patched="no" suppressHydrationWarning>
        <head>
          <meta charSet="utf-8" />
          <title>Notes</title>
          <link rel="icon" href="data:," />
        </head>
        <body>
          {children}
          <Hydrated />
        </body>
      </html>
    </Store>
  )
}

function Hydrated() {
  const [count, setCount] = useState(0)
  useEffect(() => {
    document.documentElement.dataset.hydrated = 'true'
  }, [])
  return (
    <button id="counter" onClick={() => setCount(count + 1)}>
      Count: {count}
    </button>
  )
}
