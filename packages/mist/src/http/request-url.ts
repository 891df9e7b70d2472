// The absolute URL of an incoming request: what RFC 9112 §3.3 reconstructs, as the WHATWG URL parser writes it.
//
// The scheme is the transport's, the authority the validated Host's, or both a trusted proxy's; neither can be talked over
// by the target.
// Most targets are in their normal form already and are only put together; the URL parser sees the others.

// What the URL parser would change in a path or a query that RFC 9112 lets through: dot segments, a few characters.
const pathNeedsParser = /\/\.|%2e|[^\w\-.~!$&()*+,;=:@/%]/i;
const queryNeedsParser = /[^\w\-.~!$&()*+,;=:@/%?[\]{}|]/;

/** What a URL is made of: a `Request` has it. */
export interface UrlParts {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number | undefined;
  readonly path: string;
  readonly query: string | undefined;
  readonly exchange: { readonly ownAuthority: string | undefined };
}

/** A remembered authority: nearly all requests of a server name the same. */
interface Remembered {
  readonly scheme: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly origin: string | undefined;
}

let last: Remembered = { scheme: "", host: "", port: undefined, origin: undefined };

/**
 * The origin that a request is for, such as `https://example.org:8443`; undefined if its Host is none for the URL
 * parser, although it is one for RFC 3986 (`1.2.3.999`, `%00`).
 */
export function requestOrigin(request: UrlParts): string | undefined {
  const { scheme, host, port } = request;
  if (host === "") return ownOrigin(request);
  if (last.host !== host || last.port !== port || last.scheme !== scheme) {
    const authority = port === undefined ? host : `${host}:${port}`;
    last = { scheme, host, port, origin: parsedOrigin(`${scheme}://${authority}`) };
  }
  return last.origin;
}

/** The URL of a request at `origin`, without a fragment. */
export function requestUrl(origin: string, request: UrlParts): string {
  const { path, query } = request;
  const rooted = path.charCodeAt(0) === 0x2f ? path : `/${path}`; // "*", and what `setPath` may have made
  const url = query === undefined ? origin + rooted : `${origin}${rooted}?${query}`;
  if (!pathNeedsParser.test(rooted) && (query === undefined || !queryNeedsParser.test(query))) return url;
  return new URL(url.replaceAll("#", "%23")).href;
}

// An HTTP/1.0 client need not say whom it speaks to: it speaks to the address it has connected to.
function ownOrigin({ scheme, exchange }: UrlParts): string {
  const { ownAuthority = "localhost" } = exchange;
  return parsedOrigin(`${scheme}://${ownAuthority}`) ?? `${scheme}://localhost`;
}

function parsedOrigin(url: string): string | undefined {
  try {
    return new URL(url).origin;
  } catch {
    return undefined;
  }
}
