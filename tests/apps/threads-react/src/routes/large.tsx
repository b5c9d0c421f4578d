import { createFileRoute } from '@tanstack/react-router'

import { paragraphs } from '@shared/paragraphs'

export const Route = createFileRoute('/large')({ component: Large })

function Large() {
  return (
    <main>
      <h1>Large</h1>
      {paragraphs.map((text, index) => (
        <p key={index}>{text}</p>
      ))}
    </main>
  )
}
