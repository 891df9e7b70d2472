// WHATWG fetch handlers on mist: `mist.new(fromFetch(app.fetch))`.

export { sendEarlyHints, setTrailers } from "./beside-response.ts";
export {
  type FetchContext,
  type FetchEnvironment,
  type FetchHandler,
  type FromFetchOptions,
  fromFetch,
} from "./from-fetch.ts";
export { mistRequest } from "./request.ts";
