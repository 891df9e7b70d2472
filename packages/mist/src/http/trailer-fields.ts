// Which fields may stand in a trailer section (RFC 9110 §6.5.1).

/**
 * Fields a trailer section must not smuggle in behind the head that was already acted upon: framing,
 * routing, authentication, request modifiers, content format (RFC 9110 §6.5.1).
 */
const forbiddenTrailers: ReadonlySet<string> = new Set(
  `transfer-encoding content-length trailer host connection keep-alive proxy-connection upgrade te
  cache-control expect max-forwards pragma range if-match if-none-match if-modified-since
  if-unmodified-since if-range authorization proxy-authorization proxy-authenticate www-authenticate
  cookie set-cookie age date expires location retry-after vary warning content-encoding content-type
  content-range content-location content-disposition forwarded x-forwarded-for x-forwarded-host
  x-forwarded-proto origin`.split(/\s+/),
);

/** May this field stand in a trailer section? `name` in lower case. */
export function isTrailerField(name: string): boolean {
  return !forbiddenTrailers.has(name);
}
