import { onMount, Suspense, type JSX } from 'solid-js'
import { HydrationScript } from 'solid-js/web'
import { createRootRoute, HeadContent, Link, Scripts } from '@tanstack/solid-router'

import appCss from '@shared/app.css?url'

export const Route = createRootRoute({
  head: () => ({
    meta: [
      { charset: 'utf-8' },
      { name: 'viewport', content: 'width=device-width, initial-scale=1' },
      { title: 'Threads' },
    ],
    links: [
      { rel: 'stylesheet', href: appCss },
      { rel: 'icon', href: '/favicon.svg', type: 'image/svg+xml' },
    ],
  }),
  shellComponent: Document,
})

function Document(props: { children: JSX.Element }) {
  onMount(() => {
    document.documentElement.dataset.hydrated = 'true'
  })

  return (
    <html lang="en">
      <head>
        <HydrationScript />
      </head>
      <body>
        <HeadContent />
        <nav>
          <Link to="/">Home</Link>
          <Link to="/links-100">Links</Link>
          <Link to="/threads/$id" params={{ id: '1' }}>
            First thread
          </Link>
          <Link to="/deferred">Deferred</Link>
          <Link to="/visits">Visits</Link>
          <Link to="/native">Native</Link>
        </nav>
        <Suspense>{props.children}</Suspense>
        <Scripts />
      </body>
    </html>
  )
}
