/** What both sides of a data request must agree on. */

/** The parameter of the URL that names the route. */
export const DATA_PARAMETER = '_data'

/** On an answer: `value`, `error` or `redirect`. */
export const KIND_HEADER = 'x-isopod-data'

/** Where a redirect leads. */
export const LOCATION_HEADER = 'x-isopod-location'
