import type { JSX } from 'solid-js'

/** Around the router's page, which is the whole document. */
export function App(props: { locale?: string; children?: JSX.Element }) {
  return <>{props.children}</>
}
