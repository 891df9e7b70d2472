// What the proxies in front of us say about a request: `Forwarded` (RFC 7239) and the `X-Forwarded-*` fields.
//
// Owns: both grammars, the walk from the nearest hop to the first one that is not trusted, and the limits of that walk.
// Everything is read from the right, because each proxy appends: what stands left of the first untrusted hop is whatever
// the client has sent, and is not even parsed. So an unbalanced quote or thousands of invented hops change nothing.

import { type Authority, isIpv4, isIpv6, parseAuthority } from "./authority.ts";
import { type Fields, getFieldLines } from "./fields.ts";
import { isToken } from "./token.ts";

/** Which fields the proxies in front write. */
export type ForwardedHeaders = "forwarded" | "x-forwarded";

/** What trusted proxies say; undefined where they say nothing that can be used. */
export interface ForwardedFacts {
  /** The nearest untrusted hop. */
  readonly client: ForwardedNode | undefined;
  readonly scheme: "http" | "https" | undefined;
  /** What the client asked for, as its Host said. */
  readonly authority: Authority | undefined;
  /** The port the client connected to, where it is told apart from the host. */
  readonly port: number | undefined;
}

/** A hop that has an address. */
export interface ForwardedNode {
  /** The text of an IP address, without brackets. */
  readonly address: string;
  /** Undefined if it was not told, or is obfuscated. */
  readonly port: number | undefined;
}

/** Members of the list that are looked at, from the right: more trusted proxies than this stand in no row. */
const maxHops = 64;
/** Characters of one member. */
const maxMember = 1024;
const maxPairs = 16;

/**
 * Reads what a trusted peer has sent.
 *
 * @param trusts whether the proxy at this IP address is one of ours.
 * @returns undefined if the part of the chain that trusted proxies wrote is malformed or too long.
 */
export function forwardedFacts(
  fields: Fields,
  headers: ForwardedHeaders,
  trusts: (address: string) => boolean,
): ForwardedFacts | undefined {
  return headers === "forwarded" ? standardFacts(fields, trusts) : customaryFacts(fields, trusts);
}

// ── Forwarded (RFC 7239) ────────────────────────────────────────────────────────────────────────────────────

function standardFacts(fields: Fields, trusts: (address: string) => boolean): ForwardedFacts | undefined {
  let client: ForwardedNode | undefined;
  let scheme: ForwardedFacts["scheme"];
  let authority: Authority | undefined;
  let hops = 0;
  for (const element of elementsFromRight(getFieldLines(fields, "forwarded"))) {
    if (element === undefined || ++hops > maxHops) return undefined;
    // The farther of our proxies was nearer to the client.
    scheme = schemeOf(element.get("proto")) ?? scheme;
    authority = authorityOf(element.get("host")) ?? authority;
    const node = nodeOf(element.get("for") ?? "unknown");
    if (node === undefined) return undefined;
    // Nobody can be asked for by this name: what is known ends at the proxy that wrote it.
    if (node === "hidden") break;
    client = node;
    if (!trusts(node.address)) break;
  }
  return { client, scheme, authority, port: undefined };
}

type Element = ReadonlyMap<string, string>;

/** The elements of all lines, the last first; undefined for one that is malformed, which is the end. */
function* elementsFromRight(lines: readonly string[]): Generator<Element | undefined> {
  for (let index = lines.length - 1; index >= 0; index--) {
    const text = lines[index]!;
    for (let end = text.length; end >= 0; ) {
      const read = readElement(text, end);
      yield read?.element;
      if (read === undefined) return;
      end = read.comma;
    }
  }
}

// forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] );  forwarded-pair = token "=" value (§4). The RFC's
// own examples have spaces behind the semicolon.
function readElement(text: string, end: number): { element: Element; comma: number } | undefined {
  const element = new Map<string, string>();
  for (let at = end, pairs = 0; pairs <= maxPairs && end - at <= maxMember; pairs++) {
    at = skipSpacesLeft(text, at);
    if (at > 0 && text[at - 1] !== "," && text[at - 1] !== ";") {
      const value = readValue(text, at);
      if (value === undefined || text[value.start - 1] !== "=") return undefined;
      const nameEnd = value.start - 1;
      const nameStart = tokenStart(text, nameEnd);
      const name = text.slice(nameStart, nameEnd).toLowerCase();
      // "Each parameter MUST NOT occur more than once per field-value" (§4).
      if (name === "" || element.has(name)) return undefined;
      element.set(name, value.value);
      at = skipSpacesLeft(text, nameStart);
    }
    if (at === 0 || text[at - 1] === ",") return { element, comma: at - 1 };
    if (text[at - 1] !== ";") return undefined;
    at--;
  }
  return undefined;
}

// qdtext and quoted-pair (RFC 9110 §5.6.4)
const quotedText = /^(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*$/;

/** The token or quoted string that ends here. */
function readValue(text: string, end: number): { value: string; start: number } | undefined {
  if (text[end - 1] !== '"') {
    const start = tokenStart(text, end);
    return start === end ? undefined : { value: text.slice(start, end), start };
  }
  const least = Math.max(0, end - maxMember);
  for (let at = end - 2; at >= least; at--) {
    if (text[at] !== '"' || isEscaped(text, at)) continue;
    const raw = text.slice(at + 1, end - 1);
    return quotedText.test(raw) ? { value: raw.replaceAll(/\\(.)/g, "$1"), start: at } : undefined;
  }
  return undefined;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === "\\") backslashes++;
  return backslashes % 2 === 1;
}

function tokenStart(text: string, end: number): number {
  let at = end;
  while (at > 0 && end - at <= maxMember && isToken(text[at - 1]!)) at--;
  return at;
}

function skipSpacesLeft(text: string, end: number): number {
  let at = end;
  while (at > 0 && (text[at - 1] === " " || text[at - 1] === "\t")) at--;
  return at;
}

// ── X-Forwarded-* ───────────────────────────────────────────────────────────────────────────────────────────

function customaryFacts(fields: Fields, trusts: (address: string) => boolean): ForwardedFacts | undefined {
  let client: ForwardedNode | undefined;
  let hops = 0;
  for (const member of membersFromRight(getFieldLines(fields, "x-forwarded-for"))) {
    if (++hops > maxHops) return undefined;
    if (member === "") continue;
    const node = nodeOf(member);
    if (node === undefined) return undefined;
    if (node === "hidden") break;
    client = node;
    if (!trusts(node.address)) break;
  }
  // The last value is the one that a proxy of ours wrote; those before it may be anybody's.
  const last = (name: string) => membersFromRight(getFieldLines(fields, name)).next().value;
  return {
    client,
    scheme: schemeOf(last("x-forwarded-proto")),
    authority: authorityOf(last("x-forwarded-host")),
    port: targetPortOf(last("x-forwarded-port")),
  };
}

/** The members of all lines, the last first. */
function* membersFromRight(lines: readonly string[]): Generator<string, undefined> {
  for (let index = lines.length - 1; index >= 0; index--) {
    const line = lines[index]!;
    for (let end = line.length; end >= 0; ) {
      const comma = end === 0 ? -1 : line.lastIndexOf(",", end - 1);
      yield line.slice(comma + 1, end).trim();
      end = comma;
    }
  }
  return undefined;
}

// ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────

// node = nodename [ ":" node-port ];  nodename = IPv4address / "[" IPv6address "]" / "unknown" / obfnode (RFC 7239 §6).
// X-Forwarded-For has IPv6 addresses without brackets as well.
const nodeShape = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}|_[\w.-]+))?$/;
const obfuscated = /^(?:unknown|_[\w.-]+)$/i;

function nodeOf(text: string): ForwardedNode | "hidden" | undefined {
  if (text.length > maxMember) return undefined;
  if (isIpv6(text)) return { address: text, port: undefined };
  const [matched, bracketed, plain = "", portText] = nodeShape.exec(text) ?? [];
  // An obfuscated port says nothing; digits must be a port.
  const port = portText === undefined || portText.startsWith("_") ? 0 : Number(portText);
  if (matched === undefined || port > 65_535) return undefined;
  if (bracketed === undefined && obfuscated.test(plain)) return "hidden";
  const isAddress = bracketed === undefined ? isIpv4(plain) : isIpv6(bracketed);
  return isAddress ? { address: bracketed ?? plain, port: port === 0 ? undefined : port } : undefined;
}

function targetPortOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Some proxies name a WebSocket's own scheme. */
const schemes: ReadonlyMap<string, "http" | "https"> = new Map([
  ["http", "http"],
  ["https", "https"],
  ["ws", "http"],
  ["wss", "https"],
]);

function schemeOf(text: string | undefined): ForwardedFacts["scheme"] {
  return text === undefined || text.length > 8 ? undefined : schemes.get(text.toLowerCase());
}

function authorityOf(text: string | undefined): Authority | undefined {
  return text === undefined || text.length > maxMember ? undefined : parseAuthority(text);
}
