import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { matcherOf } from '../src/vite/native/paths.js'

describe('the paths of native routes', () => {
  for (const [pattern, matched, others] of [
    ['/', ['/'], ['/a']],
    ['/about', ['/about', '/%61bout', '/About/'], ['/about/us', '/']],
    ['/users/$id/posts', ['/users/7/posts', '/users/a%20b/posts'], ['/users//posts', '/users/7', '/users/7/8/posts']],
    ['/post-{$id}.json', ['/post-7.json'], ['/post-.json', '/post-7xjson', '/7.json']],
    ['/{-$locale}/a', ['/a', '/en/a'], ['/en/us/a']],
    ['/files/$', ['/files', '/files/', '/files/a/b'], ['/filesystem']],
    ['/doc-{$}.txt', ['/doc-a/b.txt', '/doc-.txt'], ['/doc.txt']],
    ['/sitemap[.]xml', ['/sitemap.xml'], ['/sitemapxxml']],
    ['/[$]cash/[[]x[]]', ['/$cash/[x]'], ['/7/x']],
    ['/[{$a}]', ['/{$a}'], ['/7']],
    ['/posts/', ['/posts', '/posts/'], ['/posts/1']],
  ]) {
    test(pattern, () => {
      const matches = matcherOf([pattern])
      for (const path of matched) assert.ok(matches(path), `${path} matches`)
      for (const path of others) assert.ok(!matches(path), `${path} does not match`)
      assert.ok(!matches('/%ff'), 'what is no UTF-8 is of nobody')
    })
  }
})
