// The Web Cryptography API. Known answers from FIPS 180-4, RFC 4231, RFC 5869, RFC 6070's scheme with SHA-256.
import assert from "node:assert";

const { subtle } = crypto;
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => new TextEncoder().encode(text);

async function signs(algorithm, usage = algorithm) {
  const { publicKey, privateKey } = await subtle.generateKey(algorithm, false, ["sign", "verify"]);
  const signature = await subtle.sign(usage, privateKey, bytes("signed"));
  assert.equal(await subtle.verify(usage, publicKey, signature, bytes("signed")), true);
  assert.equal(await subtle.verify(usage, publicKey, signature, bytes("forged")), false);
}

export default {
  "getRandomValues and randomUUID": () => {
    const values = crypto.getRandomValues(new Uint8Array(32));
    assert.ok(values.some((value) => value !== 0));
    assert.throws(() => crypto.getRandomValues(new Uint8Array(65_537)), { name: "QuotaExceededError" });
    assert.throws(() => crypto.getRandomValues(new Float32Array(1)), { name: "TypeMismatchError" });
    assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  },
  "digest: SHA-1, SHA-256, SHA-384, SHA-512": async () => {
    assert.equal(hex(await subtle.digest("SHA-1", bytes("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.equal(hex(await subtle.digest("sha-256", bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert.equal((await subtle.digest("SHA-384", bytes(""))).byteLength, 48);
    assert.equal((await subtle.digest({ name: "SHA-512" }, bytes(""))).byteLength, 64);
    await assert.rejects(subtle.digest("MD5", bytes("")), { name: "NotSupportedError" });
  },
  "HMAC: RFC 4231, case 2": async () => {
    const key = await subtle.importKey("raw", bytes("Jefe"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
    const data = bytes("what do ya want for nothing?");
    const signature = await subtle.sign("HMAC", key, data);
    assert.equal(hex(signature), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert.equal(await subtle.verify("HMAC", key, signature, data), true);
    await assert.rejects(subtle.exportKey("raw", key), { name: "InvalidAccessError" });
  },
  "AES: GCM, CBC, CTR, and a tag that is wrong": async () => {
    for (const algorithm of [
      { name: "AES-GCM", iv: new Uint8Array(12), additionalData: bytes("seen") },
      { name: "AES-CBC", iv: new Uint8Array(16) },
      { name: "AES-CTR", counter: new Uint8Array(16), length: 64 },
    ]) {
      const key = await subtle.generateKey({ name: algorithm.name, length: 256 }, true, ["encrypt", "decrypt"]);
      const sealed = await subtle.encrypt(algorithm, key, bytes("secret"));
      assert.equal(new TextDecoder().decode(await subtle.decrypt(algorithm, key, sealed)), "secret");
      if (algorithm.name !== "AES-GCM") continue;
      new Uint8Array(sealed)[0] ^= 1;
      await assert.rejects(subtle.decrypt(algorithm, key, sealed), { name: "OperationError" });
    }
  },
  "RSA: PSS, PKCS1 v1.5, OAEP": async () => {
    const rsa = (name) => ({ name, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" });
    await signs(rsa("RSASSA-PKCS1-v1_5"));
    await signs(rsa("RSA-PSS"), { name: "RSA-PSS", saltLength: 32 });
    const { publicKey, privateKey } = await subtle.generateKey(rsa("RSA-OAEP"), false, ["encrypt", "decrypt"]);
    const sealed = await subtle.encrypt({ name: "RSA-OAEP" }, publicKey, bytes("secret"));
    assert.equal(new TextDecoder().decode(await subtle.decrypt({ name: "RSA-OAEP" }, privateKey, sealed)), "secret");
  },
  "ECDSA on P-256 and P-384, Ed25519": async () => {
    for (const namedCurve of ["P-256", "P-384"]) await signs({ name: "ECDSA", namedCurve }, { name: "ECDSA", hash: "SHA-256" });
    await signs("Ed25519");
  },
  "ECDH and X25519 agree": async () => {
    for (const algorithm of [{ name: "ECDH", namedCurve: "P-256" }, { name: "X25519" }]) {
      const [a, b] = await Promise.all([1, 2].map(() => subtle.generateKey(algorithm, false, ["deriveBits"])));
      const derive = (own, other) => subtle.deriveBits({ name: algorithm.name, public: other.publicKey }, own.privateKey, 256);
      assert.equal(hex(await derive(a, b)), hex(await derive(b, a)));
    }
  },
  "PBKDF2 and HKDF": async () => {
    const password = await subtle.importKey("raw", bytes("password"), "PBKDF2", false, ["deriveBits"]);
    const derived = await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: bytes("salt"), iterations: 2 }, password, 256);
    assert.equal(hex(derived), "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43");
    const secret = await subtle.importKey("raw", new Uint8Array(22).fill(0x0b), "HKDF", false, ["deriveBits"]);
    const info = Uint8Array.from({ length: 10 }, (_, i) => 0xf0 + i);
    const salt = Uint8Array.from({ length: 13 }, (_, i) => i);
    const expanded = await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, secret, 336);
    assert.equal(hex(expanded), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  },
  "keys: JWK, SPKI, PKCS8, wrapping, and usages that do not fit": async () => {
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    for (const [format, key, usages] of [
      ["jwk", pair.privateKey, ["sign"]], ["spki", pair.publicKey, ["verify"]], ["pkcs8", pair.privateKey, ["sign"]],
    ]) {
      const exported = await subtle.exportKey(format, key);
      const again = await subtle.importKey(format, exported, { name: "ECDSA", namedCurve: "P-256" }, true, usages);
      assert.equal(again.type, key.type, format);
    }
    const wrapping = await subtle.generateKey({ name: "AES-KW", length: 256 }, false, ["wrapKey", "unwrapKey"]);
    const key = await subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    const wrapped = await subtle.wrapKey("raw", key, wrapping, "AES-KW");
    const unwrapped = await subtle.unwrapKey("raw", wrapped, wrapping, "AES-KW", "AES-GCM", true, ["encrypt"]);
    assert.equal(hex(await subtle.exportKey("raw", unwrapped)), hex(await subtle.exportKey("raw", key)));
    await assert.rejects(subtle.decrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, bytes("")), { name: "InvalidAccessError" });
  },
};
