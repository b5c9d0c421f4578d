export async function digestUpload(request: Request): Promise<Response> {
  const chunks: BlobPart[] = []
  let bytes = 0
  for await (const chunk of chunksOf(request)) {
    chunks.push(chunk)
    bytes += chunk.byteLength
  }
  const digest = await crypto.subtle.digest('SHA-256', await new Blob(chunks).arrayBuffer())
  return Response.json({ bytes, sha256: hex(new Uint8Array(digest)) })
}

async function* chunksOf(request: Request) {
  const reader = request.body?.getReader()
  while (reader) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
