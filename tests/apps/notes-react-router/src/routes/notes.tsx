import { Form, Link, Outlet, useActionData, useLoaderData } from 'react-router'

import type { Note } from '../notes.server.ts'

export function NotesLayout() {
  const { notes } = useLoaderData() as { notes: Note[] }
  return (
    <>
      <h1>All notes</h1>
      <ul id="notes">
        {notes.map((note) => (
          <li key={note.id}>
            <Link to={`/notes/${note.id}`}>{note.title}</Link>
          </li>
        ))}
      </ul>
      <Outlet />
    </>
  )
}

export function NewNote() {
  const answer = useActionData() as { error: string } | undefined
  return (
    <Form method="post" id="new">
      <input name="title" aria-label="Title" />
      <textarea name="text" aria-label="Text" />
      <button id="create">Create</button>
      {answer && <p id="refused">{answer.error}</p>}
    </Form>
  )
}
