import { For } from 'solid-js'
import { createFileRoute } from '@tanstack/solid-router'

import { paragraphs } from '@shared/paragraphs'

export const Route = createFileRoute('/large')({ component: Large })

function Large() {
  return (
    <main>
      <h1>Large</h1>
      <For each={paragraphs}>{(text) => <p>{text}</p>}</For>
    </main>
  )
}
