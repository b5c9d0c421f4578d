import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'

const APPS = process.env.ISOPOD_APPS_DIR ?? resolve(import.meta.dirname, '../apps')

/** `vite build` of a copy of an app whose server functions are changed: its exit code, and what it says. */
async function build(t, framework, change) {
  const source = join(APPS, `threads-${framework}`)
  const root = await mkdtemp(join(APPS, `.service-build-${framework}-`))
  t.after(() => rm(root, { recursive: true }))
  for (const entry of ['src', 'package.json', 'vite.config.ts', 'tsconfig.json']) {
    await cp(join(source, entry), join(root, entry), { recursive: true })
  }
  await symlink(join(source, 'node_modules'), join(root, 'node_modules'))
  const functions = join(root, 'src/functions/service.ts')
  const written = await readFile(functions, 'utf8')
  const changed = change(written)
  assert.notEqual(changed, written)
  await writeFile(functions, changed)
  return new Promise((done) => {
    execFile(process.execPath, ['node_modules/vite/bin/vite.js', 'build'], { cwd: root }, (error, stdout, stderr) => {
      done({ code: error?.code ?? 0, said: stdout + stderr })
    })
  })
}

const STAR = `export const starThread = createServerFn({ method: 'POST' })
  .validator(nativeInput('service.star'))`

describe('the build refuses a direct function in which JavaScript has a part', () => {
  for (const [what, framework, instead, told] of [
    ['middleware', 'react', "const seen = createMiddleware({ type: 'function' }).server(({ next }) => next())\n" + STAR + '.middleware([seen])', 'its middleware in JavaScript would not run'],
    ['a validator', 'solid', STAR.replace("nativeInput('service.star')", '(star: { id: number; starred: boolean }) => star'), 'its validator in JavaScript would not run'],
    ['a method that is not its own', 'react', STAR.replace("'POST'", "'GET'"), "the native function 'service.star' is called with POST: write createServerFn({ method: 'POST' })"],
  ]) {
    test(`${what} (${framework})`, async (t) => {
      const { code, said } = await build(t, framework, (written) =>
        written.replace(STAR, instead).replace('import { createServerFn }', 'import { createMiddleware, createServerFn }'),
      )
      assert.ok(said.includes(told), said)
      assert.equal(code, 1)
    })
  }
})
