import { useLoaderData } from 'react-router'

import type { Note } from '../notes.server.ts'
import './note.css'

export function NotePage() {
  const { note } = useLoaderData() as { note: Note }
  return (
    <article className="note">
      <h2>{note.title}</h2>
      <p id="text">{note.text}</p>
    </article>
  )
}
