import { useEffect, type ReactNode } from 'react'
import { createRootRoute, HeadContent, Link, Scripts } from '@tanstack/react-router'

import appCss from '@shared/app.css?url'

export const Route = createRootRoute({
  head: () => ({
    meta: [
      { charSet: 'utf-8' },
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

function Document({ children }: { children: ReactNode }) {
  useEffect(() => {
    document.documentElement.dataset.hydrated = 'true'
  }, [])

  return (
    <html lang="en">
      <head>
        <HeadContent />
      </head>
      <body>
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
        {children}
        <Scripts />
      </body>
    </html>
  )
}
