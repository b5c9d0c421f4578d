import { data, redirect, type ActionFunctionArgs, type LoaderFunctionArgs } from 'react-router'

import { endings } from './endings.ts'
import { addNote, after, findNote, listNotes, never } from './notes.server.ts'

export const notes = () => data({ notes: listNotes() }, { headers: { 'cache-control': 'private, max-age=5', 'set-cookie': 'seen=notes; Path=/' } })

export function note({ params }: LoaderFunctionArgs) {
  const found = findNote(params['id'] ?? '')
  if (found === undefined) throw data(`There is no note ${params['id']}.`, { status: 404 })
  return { note: found }
}

export async function create({ request }: ActionFunctionArgs) {
  const form = await request.formData()
  const title = String(form.get('title') ?? '').trim()
  if (title === '') return data({ error: 'A note needs a title.' }, { status: 422 })
  const { id } = addNote(title, String(form.get('text') ?? ''))
  return redirect(`/notes/${id}`, { headers: { 'set-cookie': `created=${id}; Path=/` } })
}

export function deferred({ request }: LoaderFunctionArgs) {
  const ms = Number(new URL(request.url).searchParams.get('ms') ?? 200)
  return { now: 'The shell is here at once.', later: after(ms, `worth ${ms} ms of patience`) }
}

export const deferredNever = ({ request }: LoaderFunctionArgs) => ({ now: 'The shell is here.', later: never(request.signal) })

export const stuck = ({ request }: LoaderFunctionArgs) => never(request.signal)

export const old = () => redirect('/notes/1', { status: 308, headers: { 'set-cookie': 'moved=1; Path=/' } })

export const boom = () => {
  throw new Error('boom from the loader')
}

export const ended = () => Response.json(endings)

export const api = () => Response.json(listNotes(), { headers: { 'x-api': 'notes' } })

export const nothing = () => data(null, { status: 404 })
