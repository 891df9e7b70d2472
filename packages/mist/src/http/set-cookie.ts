// The `set-cookie` field (RFC 6265 §4.1): serialized by a library, checked for what browsers drop in silence.

import { checkNames, shown } from "@x/glisten/kit";
import { stringifySetCookie } from "cookie";
import { UsageError } from "../errors.ts";

/** Options of `response.setCookie`: the attributes of a cookie. */
export interface CookieOptions {
  /** Seconds until it expires; 0 deletes it. Default: it lives as long as the browser's session. */
  readonly maxAge?: number | undefined;
  /** When it expires. `maxAge` goes before. */
  readonly expires?: Date | undefined;
  /** The path, and those below it, that it is sent to. Default: the folder of the request's path. */
  readonly path?: string | undefined;
  /** The domain that it is sent to, with those below it. Default: the host of the request and no other. */
  readonly domain?: string | undefined;
  /** Sent over HTTPS alone. Default: false. */
  readonly secure?: boolean | undefined;
  /** Hidden from scripts. Default: false. */
  readonly httpOnly?: boolean | undefined;
  /** Whether requests from other sites carry it. `"none"` needs `secure`. Default: the browser's, mostly `"lax"`. */
  readonly sameSite?: "strict" | "lax" | "none" | undefined;
  /** A jar of its own for each top-level site (CHIPS). Needs `secure`. Default: false. */
  readonly partitioned?: boolean | undefined;
}

const names = ["maxAge", "expires", "path", "domain", "secure", "httpOnly", "sameSite", "partitioned"];

/** Browsers ignore a cookie whose name and value are longer (RFC 6265bis §5.6). */
const maxNameAndValue = 4096;

/**
 * The value of a `set-cookie` field; the cookie's value is percent-encoded.
 *
 * @throws UsageError for what cannot be sent, and for what browsers would ignore.
 */
export function serializeSetCookie(name: string, value: string, options: CookieOptions): string {
  checkNames("setCookie", options, names);
  if (typeof name !== "string" || name === "")
    throw new UsageError(`a cookie must have a name, got ${shown(name)}`);
  if (typeof value !== "string")
    throw new UsageError(`the value of a cookie must be a string, got ${shown(value)}`);
  checkRules(name.toLowerCase(), options);
  const given = Object.entries(options).filter(([, option]) => option !== undefined);
  const cookie = serialized(name, value, Object.fromEntries(given));
  const end = cookie.indexOf(";");
  const length = (end < 0 ? cookie.length : end) - 1;
  if (length <= maxNameAndValue) return cookie;
  throw new UsageError(
    `name and value of a cookie must have at most ${maxNameAndValue} bytes, encoded, got ${length}`,
  );
}

function serialized(name: string, value: string, options: CookieOptions): string {
  try {
    return stringifySetCookie(name, value, options as object);
  } catch (error) {
    // A TypeError of the library names what is wrong; a URIError says that the value is no Unicode text.
    throw new UsageError(`this cookie cannot be sent: ${(error as Error).message}`, { cause: error });
  }
}

// RFC 6265bis §4.1.3 and §5.7: browsers drop these, and say so in their consoles only.
function checkRules(name: string, { secure, sameSite, partitioned, domain, path }: CookieOptions): void {
  if (sameSite !== undefined && !["strict", "lax", "none"].includes(sameSite)) {
    throw new UsageError(`sameSite must be "strict", "lax" or "none", got ${shown(sameSite)}`);
  }
  const isHost = name.startsWith("__host-");
  const needing = [
    [sameSite === "none", 'sameSite "none"'],
    [partitioned === true, "partitioned"],
    [isHost, "a name that starts with __Host-"],
    [name.startsWith("__secure-"), "a name that starts with __Secure-"],
  ] as const;
  for (const [needs, what] of needing) {
    if (needs && secure !== true) throw new UsageError(`${what} needs secure: true`);
  }
  if (isHost && (domain !== undefined || path !== "/")) {
    throw new UsageError('a name that starts with __Host- needs path: "/" and no domain');
  }
}
