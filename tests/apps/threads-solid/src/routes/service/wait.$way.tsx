import { createFileRoute } from '@tanstack/solid-router'

import { waitDirectly, waitThroughBundle } from '../../functions/service'

/** Its loader ends when the visitor goes elsewhere. */
export const Route = createFileRoute('/service/wait/$way')({
  loader: ({ params, abortController: { signal } }) =>
    params.way === 'direct' ? waitDirectly({ signal }) : waitThroughBundle({ signal }),
})
