import { SignJWT, generateKeyPair, jwtVerify } from 'jose'

export async function signedAndVerified() {
  const secret = new TextEncoder().encode('0123456789abcdef0123456789abcdef')
  const token = await new SignJWT({ role: 'reader' }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('1h').sign(secret)
  const { payload } = await jwtVerify(token, secret)
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const signed = await new SignJWT({ sub: 'me' }).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
  const verified = await jwtVerify(signed, publicKey)
  const forged = await jwtVerify(`${token}x`, secret).catch((error: { code: string }) => error.code)
  return { role: payload.role, sub: verified.payload.sub, forged }
}
