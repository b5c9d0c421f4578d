export function sayHello(request: Request): Response {
  const runtime = Symbol.for('isopod.host') in globalThis ? 'isopod' : 'node'
  const response = Response.json({ hello: 'world', method: request.method, runtime })
  response.headers.append('set-cookie', 'hello=world; Path=/; HttpOnly')
  response.headers.append('set-cookie', 'seen=yes; Path=/')
  return response
}

export async function repeat(request: Request): Promise<Response> {
  return Response.json(await request.json(), { status: 201, headers: { 'x-hello': 'post' } })
}
