/** Stands for a connection that an entry makes once and hands to its requests. */
export interface Database {
  user(token: string): Promise<string | undefined>
}

export async function connect(): Promise<Database> {
  const users = new Map([['secret', 'Ada']])
  return { user: async (token) => users.get(token) }
}
