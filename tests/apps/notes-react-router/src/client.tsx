import { getServerState, whenServerState } from '@isopod/app/client'
import { createHydratedRouter } from '@isopod/app/client/react-router'
import { StrictMode, startTransition } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { RouterProvider } from 'react-router'

import { App } from './app.tsx'
import { routes } from './routes.tsx'
import type { ClientStore } from './store.ts'

const store = getServerState<ClientStore>('store')
const router = await createHydratedRouter(routes)

startTransition(() => {
  hydrateRoot(
    document,
    <StrictMode>
      <App store={store}>
        <RouterProvider router={router} />
      </App>
    </StrictMode>,
  )
})

void whenServerState<number>('rendered').then((rendered) => {
  document.documentElement.dataset.rendered = String(rendered)
})
