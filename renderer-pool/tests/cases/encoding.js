// The Encoding standard, base64, and the Compression standard.
import assert from "node:assert";

const through = async (bytes, stream) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());

export default {
  "TextEncoder: UTF-8, lone surrogates, encodeInto": () => {
    assert.deepEqual([...new TextEncoder().encode("\u20ac\ud800")], [0xe2, 0x82, 0xac, 0xef, 0xbf, 0xbd]);
    const target = new Uint8Array(4);
    assert.deepEqual(new TextEncoder().encodeInto("a\u20acb", target), { read: 2, written: 4 });
    const into = (text, length) => {
      const bytes = new Uint8Array(length + 2).fill(1).subarray(1, length + 1);
      const { read, written } = new TextEncoder().encodeInto(text, bytes);
      assert.deepEqual([...new Uint8Array(bytes.buffer)].filter((byte, i) => i === 0 || i > written), Array(length + 2 - written).fill(1));
      return [read, written, [...bytes.subarray(0, written)]];
    };
    assert.deepEqual(into("", 3), [0, 0, []]);
    assert.deepEqual(into("abc", 0), [0, 0, []]);
    assert.deepEqual(into("abc", 2), [2, 2, [97, 98]]);
    assert.deepEqual(into("\u20ac", 2), [0, 0, []]);
    assert.deepEqual(into("\u{1f600}!", 5), [3, 5, [0xf0, 0x9f, 0x98, 0x80, 33]]);
    assert.deepEqual(into("\u{1f600}", 3), [0, 0, []]);
    assert.deepEqual(into("\ud83d-", 4), [2, 4, [0xef, 0xbf, 0xbd, 45]]);
    assert.deepEqual(into("\u00e9" + "x".repeat(20) + String(target), 24), [23, 24, [0xc3, 0xa9, ...Array(20).fill(120), 57, 55]]);
    assert.throws(() => new TextEncoder().encodeInto("a", new Uint16Array(1)), TypeError);
    assert.throws(() => new TextEncoder().encodeInto("a", [0]), TypeError);
  },
  "TextDecoder: BOM, fatal, streaming": () => {
    assert.equal(new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])), "a");
    assert.equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])), "\ufeff");
    assert.equal(new TextDecoder().decode(new Uint8Array([0xff, 97])), "\ufffda");
    assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])), TypeError);
    const decoder = new TextDecoder();
    const pieces = [[0xe2], [0x82], [0xac]].map((bytes) => decoder.decode(new Uint8Array(bytes), { stream: true }));
    assert.equal(pieces.join("") + decoder.decode(), "\u20ac");
  },
  "TextDecoder: labels of other encodings": () => {
    assert.equal(new TextDecoder("latin1").encoding, "windows-1252");
    assert.equal(new TextDecoder("windows-1252").decode(new Uint8Array([0x80])), "\u20ac");
    assert.equal(new TextDecoder("utf-16le").decode(new Uint8Array([97, 0])), "a");
    assert.equal(new TextDecoder("shift_jis").decode(new Uint8Array([0x82, 0xa0])), "\u3042");
    assert.throws(() => new TextDecoder("no-such"), RangeError);
  },
  "TextEncoderStream and TextDecoderStream": async () => {
    const bytes = ReadableStream.from(["a\u20ac", "b"]).pipeThrough(new TextEncoderStream());
    let text = "";
    for await (const piece of bytes.pipeThrough(new TextDecoderStream())) text += piece;
    assert.equal(text, "a\u20acb");
  },
  "atob and btoa": () => {
    assert.equal(btoa("\u00e9"), "6Q==");
    assert.equal(atob(" 6Q = = "), "\u00e9");
    for (const bad of ["a", "a===", "\u20ac"]) assert.throws(() => atob(bad), { name: "InvalidCharacterError" });
    assert.throws(() => btoa("\u20ac"), { name: "InvalidCharacterError" });
  },
  "CompressionStream and DecompressionStream: gzip, deflate, deflate-raw": async () => {
    const text = new TextEncoder().encode("again and ".repeat(500));
    for (const format of ["gzip", "deflate", "deflate-raw"]) {
      const small = await through(text, new CompressionStream(format));
      assert.ok(small.length < text.length / 10, format);
      assert.deepEqual(await through(small, new DecompressionStream(format)), text);
    }
    assert.throws(() => new CompressionStream("lzma"), TypeError);
    await assert.rejects(through(new Uint8Array([1, 2, 3]), new DecompressionStream("gzip")), TypeError);
  },
};
