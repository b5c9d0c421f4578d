const WORDS = 'a gateway takes the requests and hands pages to isolates that run the bundle of the app '
const PARAGRAPHS = 2200
const REPEATS = 5

/** 2,200 paragraphs of about half a kilobyte: a page of one megabyte. */
export const paragraphs = Array.from(
  { length: PARAGRAPHS },
  (_, index) => `Paragraph ${index + 1}: ${WORDS.repeat(REPEATS)}`,
)
