import { Redis } from 'ioredis'

let shared: Redis | undefined

const client = () => (shared ??= new Redis(process.env.REDIS_URL ?? ''))

export async function throughRedis() {
  const redis = client()
  await redis.set('greeting', 'hello', 'EX', 60)
  const piped = await redis.pipeline().incr('visits').incr('visits').get('greeting').exec()
  const subscriber = redis.duplicate()
  await subscriber.subscribe('news')
  const heard = new Promise((resolve) => subscriber.once('message', (_channel, message) => resolve(message)))
  await redis.publish('news', 'fresh')
  const message = await heard
  await subscriber.quit()
  await redis.del('visits')
  return { greeting: await redis.get('greeting'), piped: piped?.map(([, value]) => value), message }
}
