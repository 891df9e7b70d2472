// The little of HTTP/2 that the floor and the load share: frames, and the fields of header blocks (RFC 9113, RFC 7541).

export const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
};
export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8 };
export const headerLength = 9;
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Indices in the static table of HPACK (RFC 7541 Appendix A). */
export const fieldIndices = {
  authority: 1,
  get: 2,
  post: 3,
  path: 4,
  http: 6,
  https: 7,
  ok: 8,
  accept: 19,
  contentLength: 28,
  contentType: 31,
  date: 33,
  userAgent: 58,
};
const staticLength = 61;

/**
 * @param {number} type
 * @param {number} flags
 * @param {number} id
 * @param {Buffer} [payload]
 */
export function frame(type, flags, id, payload = Buffer.alloc(0)) {
  const header = Buffer.alloc(headerLength);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

/** @param {number} value */
export function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/**
 * A header block as it is the first time on a connection, when its fields go into the table, and every time after that,
 * when they are there.
 *
 * @param {number[]} indexed fields of the static table
 * @param {[name: number, value: string][]} added fields by the index of their name
 */
export function headerBlocks(indexed, added) {
  const known = Buffer.from(indexed.map((index) => 0x80 | index));
  const literals = added.map(([name, value]) =>
    Buffer.concat([Buffer.from([0x40 | name, value.length]), Buffer.from(value)]),
  );
  // The field that was added last has the lowest index.
  const references = Buffer.from(added.map((_, at) => 0x80 | (staticLength + added.length - at)));
  return { first: Buffer.concat([known, ...literals]), later: Buffer.concat([known, references]) };
}
