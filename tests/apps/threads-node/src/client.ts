// Says who is signed in.
const greeting = document.querySelector('h1')

const response = await fetch('/guarded')
const { hello } = (await response.json()) as { hello?: string }
if (greeting && hello) greeting.textContent = `Hello, ${hello}`

export {}
