export interface Note {
  id: string
  title: string
  text: string
}

const notes = new Map<string, Note>()

for (const [id, title, text] of [
  ['1', 'Streams', 'A page may begin before it ends.'],
  ['2', 'Shells', 'The frame comes first, \u20ac and all.'],
  ['3', 'State', 'What the server knows, </script> included.'],
]) {
  notes.set(id!, { id: id!, title: title!, text: text! })
}

export const listNotes = () => [...notes.values()]

export const findNote = (id: string) => notes.get(id)

export function addNote(title: string, text: string): Note {
  const note = { id: String(notes.size + 1), title, text }
  notes.set(note.id, note)
  return note
}

export const after = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value))

/** Never settles, unless the request is given up. */
export const never = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
