import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import pg from 'pg'

let shared: pg.Pool | undefined

export function pool(): pg.Pool {
  return (shared ??= new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 }))
}

export async function throughPool() {
  const parameters = await pool().query('select $1::int + 1 as sum, $2::jsonb as doc', [41, { deep: [1, 2] }])
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => pool().query('select $1::int as i', [i])))
  const listener = await pool().connect()
  await listener.query('listen news')
  const heard = new Promise((resolve) => listener.once('notification', (news) => resolve(news.payload)))
  await pool().query("notify news, 'hello'")
  const notification = await heard
  await listener.query('unlisten news')
  listener.release()
  const failure = await pool()
    .query('select nothing from nowhere')
    .catch((error: { code: string }) => error.code)
  return {
    ...parameters.rows[0],
    many: many.reduce((sum, { rows }) => sum + rows[0].i, 0),
    notification,
    failure,
  }
}

const threads = pgTable('threads', {
  id: serial('id').primaryKey(),
  title: text('title').notNull(),
})

export async function throughDrizzle() {
  const db = drizzle({ client: pool() })
  await db.execute('create table if not exists threads (id serial primary key, title text not null)')
  await db.delete(threads)
  await db.insert(threads).values([{ title: 'first' }, { title: 'second' }])
  const found = await db.select({ title: threads.title }).from(threads).where(eq(threads.title, 'second'))
  const rolledBack = await db
    .transaction(async (tx) => {
      await tx.insert(threads).values({ title: 'third' })
      throw new Error('undone')
    })
    .catch((error: Error) => error.message)
  const all = await db.select().from(threads)
  return { found, rolledBack, count: all.length }
}
