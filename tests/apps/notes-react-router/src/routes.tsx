import { remoteAction, remoteLoader } from '@isopod/app/client/react-router'
import type { ActionFunction, LoaderFunction, RouteObject } from 'react-router'

import { Boundary, Layout, NotFound } from './routes/layout.tsx'
import { Deferred } from './routes/deferred.tsx'
import { Home } from './routes/home.tsx'
import { NewNote, NotesLayout } from './routes/notes.tsx'

type Loaders = typeof import('./loaders.server.ts')

/** What only the server has: Vite leaves it out of the client. */
const onServer = import.meta.env.SSR ? () => import('./loaders.server.ts') : undefined

/** The server runs the loader itself, the browser asks the server for it. */
function loader(id: string, pick: (loaders: Loaders) => LoaderFunction): LoaderFunction {
  return onServer ? async (args, handler) => pick(await onServer())(args, handler) : remoteLoader(id)
}

function action(id: string, pick: (loaders: Loaders) => ActionFunction): ActionFunction {
  return onServer ? async (args, handler) => pick(await onServer())(args, handler) : remoteAction(id)
}

const Broken = () => {
  throw new Error('boom from the render')
}

export const routes: RouteObject[] = [
  {
    id: 'root',
    path: '/',
    Component: Layout,
    ErrorBoundary: Boundary,
    HydrateFallback: () => null,
    children: [
      { id: 'home', index: true, Component: Home },
      {
        id: 'notes',
        path: 'notes',
        Component: NotesLayout,
        ErrorBoundary: Boundary,
        loader: loader('notes', (loaders) => loaders.notes),
        children: [
          { id: 'new', path: 'new', Component: NewNote, action: action('new', (loaders) => loaders.create) },
          {
            id: 'note',
            path: ':id',
            loader: loader('note', (loaders) => loaders.note),
            lazy: { Component: async () => (await import('./routes/note.tsx')).NotePage },
          },
        ],
      },
      { id: 'deferred', path: 'deferred', Component: Deferred, loader: loader('deferred', (loaders) => loaders.deferred) },
      { id: 'never', path: 'never', Component: Deferred, loader: loader('never', (loaders) => loaders.deferredNever) },
      { id: 'stuck', path: 'stuck', Component: Home, loader: loader('stuck', (loaders) => loaders.stuck) },
      { id: 'old', path: 'old', loader: loader('old', (loaders) => loaders.old), Component: Home },
      { id: 'boom', path: 'boom', loader: loader('boom', (loaders) => loaders.boom), Component: Home },
      { id: 'boom-render', path: 'boom-render', Component: Broken },
      { id: 'ended', path: 'api/ended', loader: loader('ended', (loaders) => loaders.ended) },
      { id: 'api', path: 'api/notes', loader: loader('api', (loaders) => loaders.api) },
      { id: 'nothing', path: '*', Component: NotFound, loader: loader('nothing', (loaders) => loaders.nothing) },
    ],
  },
]
