// The server name in a TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), read ahead of the handshake.
//
// SANS-IO. Owns: finding that one name. Refuses: judging the rest. Anything else than a ClientHello, or one that
// is too long, has no name: TLS itself reports what is wrong.

/** `serverName` is in lower case; undefined when the client names no server. */
export type ClientHelloParse =
  | { readonly type: "need-more" }
  | { readonly type: "hello"; readonly serverName: string | undefined };

const needMore: ClientHelloParse = { type: "need-more" };
const nameless: ClientHelloParse = { type: "hello", serverName: undefined };

const recordHeaderBytes = 5;
const handshakeRecord = 22;
const clientHello = 1;
const serverNameExtension = 0;
// RFC 8446 §5.1: a record holds at most 2^14 bytes. No sane hello needs more than one.
const maxHelloBytes = 1 << 14;
// One byte per record is allowed, too; putting thousands together again is work a peer could make us do.
const maxRecords = 16;

/** Reads the first bytes of a connection; call again with all bytes so far after `need-more`. Never throws. */
export function parseClientHello(bytes: Buffer): ClientHelloParse {
  const fragments: Buffer[] = [];
  let gathered = 0;
  for (let at = 0; ; ) {
    if (fragments.length === maxRecords) return nameless;
    if (at < bytes.length && bytes[at] !== handshakeRecord) return nameless;
    if (bytes.length < at + recordHeaderBytes) return needMore;
    const fragment = bytes.subarray(
      at + recordHeaderBytes,
      at + recordHeaderBytes + bytes.readUInt16BE(at + 3),
    );
    // An empty handshake record is forbidden (§5.1), and would let a peer keep us here without getting on.
    if (bytes.readUInt16BE(at + 3) === 0) return nameless;
    fragments.push(fragment);
    gathered += fragment.length;
    const message = Buffer.concat(fragments, gathered);
    const length = helloLength(message);
    if (length === undefined) return nameless;
    if (message.length >= length)
      return { type: "hello", serverName: serverNameOf(message.subarray(4, length)) };
    at += recordHeaderBytes + bytes.readUInt16BE(at + 3);
    if (at > bytes.length) return needMore;
  }
}

/** The length of the whole message once its head is there, the head's while it is not; undefined: no hello. */
function helloLength(message: Buffer): number | undefined {
  if (message.length > 0 && message[0] !== clientHello) return undefined;
  if (message.length < 4) return 4;
  const length = 4 + message.readUIntBE(1, 3);
  return length > maxHelloBytes ? undefined : length;
}

/** Skips version, random, session, cipher suites and compression; then looks through the extensions. */
function serverNameOf(hello: Buffer): string | undefined {
  const reader = new Reader(hello);
  reader.skip(2 + 32);
  reader.skip(reader.number(1));
  reader.skip(reader.number(2));
  reader.skip(reader.number(1));
  const extensions = reader.part(reader.number(2));
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const body = extensions.part(extensions.number(2));
    if (type === serverNameExtension) return hostName(body);
  }
  return undefined;
}

/** The list holds one name of type 0, a host name in ASCII (RFC 6066 §3). */
function hostName(body: Reader): string | undefined {
  const names = body.part(body.number(2));
  if (names.number(1) !== 0) return undefined;
  const name = names.part(names.number(2)).text();
  return name === "" ? undefined : name.toLowerCase();
}

/** Reads forward; past the end there is nothing, and numbers are 0. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return Math.max(0, this.#bytes.length - this.#at);
  }

  skip(length: number): void {
    this.#at += length;
  }

  number(width: 1 | 2): number {
    const value = this.left < width ? 0 : this.#bytes.readUIntBE(this.#at, width);
    this.#at += width;
    return value;
  }

  part(length: number): Reader {
    const part = new Reader(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
    return part;
  }

  text(): string {
    return this.#bytes.toString("latin1");
  }
}
