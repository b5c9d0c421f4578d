// The entry of a workerd worker, beside the modules of the app's bundle. Static files are not its part.
import bundle from './server.js'

export default { fetch: (request) => bundle.fetch(request) }
