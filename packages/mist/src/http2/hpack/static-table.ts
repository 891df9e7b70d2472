// The static table (RFC 7541 Appendix A).

import { Entry } from "./entry.ts";

const LINES = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

/** By index; 0 is none. All connections hand out these very fields, hence frozen. */
export const STATIC_TABLE: readonly Entry[] = LINES.split("\n").map((line) => {
  const space = line.indexOf(" ");
  const entry = space === -1 ? new Entry(line, "") : new Entry(line.slice(0, space), line.slice(space + 1));
  Object.freeze(entry.field);
  return entry;
});

/** The last index of the static table; the dynamic one starts behind it. */
export const STATIC_LENGTH = 61;

const NAME_INDEXES: ReadonlyMap<string, number> = nameIndexes();

function nameIndexes(): Map<string, number> {
  const indexes = new Map<string, number>();
  for (let index = STATIC_LENGTH; index > 0; index--) indexes.set((STATIC_TABLE[index] as Entry).name, index);
  return indexes;
}

/** The first index with that name, or 0. */
export function staticNameIndex(name: string): number {
  return NAME_INDEXES.get(name) ?? 0;
}
