import { getServerState } from '@isopod/app/client'
import { RouterClient } from '@tanstack/solid-router/ssr/client'
import { hydrate } from 'solid-js/web'

import { App } from './app'
import { getRouter } from './router'

hydrate(
  () => (
    <App locale={getServerState('locale')}>
      <RouterClient router={getRouter()} />
    </App>
  ),
  document.body,
)
document.documentElement.dataset['hydrated'] = 'true'
