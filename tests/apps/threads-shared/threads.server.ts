export interface Thread {
  id: string
  title: string
  author: string
  messages: number
}

const SUBJECTS = ['Backpressure', 'Hydration', 'Snapshots', 'Draining', 'Streaming']
const QUESTIONS = ['in practice', 'from first principles', 'under load', 'without tears']
const AUTHORS = ['Ada', 'Barbara', 'Edsger', 'Grace', 'Tony']

const threads = new Map<string, Thread>(
  Array.from({ length: 100 }, (_, index) => {
    const id = String(index + 1)
    const thread: Thread = {
      id,
      title: `${SUBJECTS[index % 5]} ${QUESTIONS[index % 4]}`,
      author: AUTHORS[(index * 3) % 5]!,
      messages: (index * 7) % 23,
    }
    return [id, thread]
  }),
)

export function latestThreads(limit: number): Thread[] {
  return [...threads.values()].slice(0, limit)
}

export function findThread(id: string): Thread | undefined {
  return threads.get(id)
}
