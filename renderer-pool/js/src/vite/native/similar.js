/** The name that is nearest to `given`, if one is near: at most a third of its letters are others. */
export function similar(given, names) {
  let best
  for (const name of names) {
    const distance = distanceOf(given, name)
    if (distance <= Math.max(given.length, name.length) / 3 && !(best?.distance <= distance)) best = { name, distance }
  }
  return best?.name
}

/** How many letters are to be changed, added or removed (Levenshtein). */
function distanceOf(left, right) {
  let row = Array.from({ length: right.length + 1 }, (_, at) => at)
  for (let at = 1; at <= left.length; at++) {
    const next = [at]
    for (let other = 1; other <= right.length; other++) {
      const replaced = row[other - 1] + (left[at - 1] === right[other - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[other] + 1, next[other - 1] + 1))
    }
    row = next
  }
  return row[right.length]
}
