import { readFile, readdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'

import { CLIENT, outputDirectory } from './environments.js'

/** What is text by its nature; images, fonts and archives are compressed already. */
const COMPRESSIBLE = new Set(
  '.css .csv .html .ico .js .json .map .mjs .svg .txt .wasm .webmanifest .xml'.split(' '),
)

/** Below this many bytes a file fits into a packet anyway. */
const MIN_BYTES = 1024

/** A variant must save so much of the file to be kept. */
const MIN_SAVING = 0.05

const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT, ZSTD_c_compressionLevel } = zlib.constants

/** Encodings by the suffix of their files, each at its best level: a build waits for it, visitors do not. */
const ENCODINGS = {
  '.br': (bytes) =>
    promisify(zlib.brotliCompress)(bytes, {
      params: { [BROTLI_PARAM_QUALITY]: 11, [BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }),
  '.gz': (bytes) => promisify(zlib.gzip)(bytes, { level: 9 }),
}
// Node has it from 22.15 on.
if (zlib.zstdCompress) {
  ENCODINGS['.zst'] = (bytes) => promisify(zlib.zstdCompress)(bytes, { params: { [ZSTD_c_compressionLevel]: 19 } })
}

/** Writes compressed variants beside the client's files: `app.js.br`, `app.js.gz` and `app.js.zst`. */
export function precompressed() {
  return {
    name: 'isopod:precompress',
    apply: 'build',
    buildApp: {
      order: 'post',
      async handler(builder) {
        const client = outputDirectory(builder, CLIENT)
        if (client !== undefined) await compressTree(client)
      },
    },
  }
}

/** Compresses what is worth it below `directory`. */
export async function compressTree(directory) {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && COMPRESSIBLE.has(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  const compressNext = async () => {
    for (let file = files.pop(); file !== undefined; file = files.pop()) await compress(file)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, compressNext))
}

async function compress(file) {
  const bytes = await readFile(file)
  if (bytes.length < MIN_BYTES) return
  for (const [suffix, encode] of Object.entries(ENCODINGS)) {
    const encoded = await encode(bytes)
    if (encoded.length <= bytes.length * (1 - MIN_SAVING)) await writeFile(file + suffix, encoded)
  }
}
