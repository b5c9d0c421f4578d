import { isbot } from 'isbot'

/** Whether the request comes from a crawler, by a kept list of user agents. A request without one does not. */
export function isCrawler(request: Request): boolean {
  return isbot(request.headers.get('user-agent'))
}
