export function Home() {
  return <h1>Notes on rendering</h1>
}
