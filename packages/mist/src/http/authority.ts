// Authorities: `uri-host [ ":" port ]` as they stand in Host and in an absolute target
// (RFC 9110 §7.2, RFC 3986 §3.2).
//
// Refuses user information, lists, and everything else whose reading could differ between us and
// a proxy in front of us: a Host two parsers read differently is a cache poisoned.

/** A host and, if one was given, a port. */
export interface Authority {
  /** Lower-case; an IPv6 address keeps its brackets. `""` when the Host field was empty. */
  readonly host: string;
  readonly port: number | undefined;
}

// reg-name = *( unreserved / pct-encoded / sub-delims ), less "," (a list) (RFC 3986 §3.2.2)
const regName = /^(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+$/;
// IP-literal: IPv6address or IPvFuture; the address itself is checked by hand below
const ipv6 = /^[0-9A-Fa-f:.]+$/;
const ipvFuture = /^[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+;=:]+$/;
const portDigits = /^[0-9]{1,5}$/;

/** Parse an authority; `undefined` when it is not a valid one. The empty text is not. */
export function parseAuthority(text: string): Authority | undefined {
  const colon = portSeparator(text);
  if (colon === undefined) return undefined;
  const host = text.slice(0, colon);
  const port = parsePort(text.slice(colon));
  if (port === undefined || !isHost(host)) return undefined;
  return { host: host.toLowerCase(), port: port === NO_PORT ? undefined : port };
}

const NO_PORT = -1;

/** Where the host ends: at the colon, or at the end of the text. `undefined`: brackets are wrong. */
function portSeparator(text: string): number | undefined {
  if (text.charCodeAt(0) !== 0x5b /* [ */) {
    const colon = text.indexOf(":");
    return colon === -1 ? text.length : colon;
  }
  const close = text.indexOf("]");
  return close === -1 ? undefined : close + 1;
}

/** `":" *DIGIT`; an empty port means the scheme's (RFC 3986 §3.2.3). */
function parsePort(text: string): number | undefined {
  if (text === "" || text === ":") return NO_PORT;
  const digits = text.slice(1);
  if (text.charCodeAt(0) !== 0x3a || !portDigits.test(digits)) return undefined;
  const port = Number(digits);
  return port <= 65535 ? port : undefined;
}

function isHost(host: string): boolean {
  if (host.charCodeAt(0) !== 0x5b) return regName.test(host);
  const literal = host.slice(1, -1);
  return isIpv6(literal) || ipvFuture.test(literal);
}

/** IPv6address (RFC 3986 §3.2.2): eight groups, or fewer around one `::`; the last two may be IPv4. */
export function isIpv6(text: string): boolean {
  if (!ipv6.test(text) || text.length > 45) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (let h = 0; h < halves.length; h++) {
    const half = halves[h] as string;
    if (half === "") continue;
    const parts = half.split(":");
    for (let p = 0; p < parts.length; p++) {
      const part = parts[p] as string;
      const last = h === halves.length - 1 && p === parts.length - 1;
      const width =
        last && part.includes(".") ? (isIpv4(part) ? 2 : 0) : /^[0-9A-Fa-f]{1,4}$/.test(part) ? 1 : 0;
      if (width === 0) return false;
      groups += width;
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

/** Four decimal fields without leading zeros. */
export function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/.test(text);
}
