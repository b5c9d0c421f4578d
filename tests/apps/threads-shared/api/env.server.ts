export function environmentNames(): Response {
  return Response.json(Object.keys(process.env))
}
