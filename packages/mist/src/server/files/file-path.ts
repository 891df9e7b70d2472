// From the path of a request to a path below a root directory: what a URL may name, decided before any IO.
//
// Refuses, whatever the platform: dot segments, encoded or not; an encoded slash; a backslash; NUL; a drive letter.
// Percent-decoding happens once, segment by segment, so that nothing decoded is ever taken for a separator.
// Symbolic links are not seen here: see `open-file.ts`.

import { join } from "node:path";
import { shown } from "@x/glisten/kit";
import { FileError, UsageError } from "../../errors.ts";

/**
 * How a name that starts with a dot is treated: `"ignore"`, as missing (404); `"deny"` (403); `"allow"`.
 * `/.well-known/` (RFC 8615) is always allowed.
 */
export type DotfilesPolicy = "allow" | "deny" | "ignore";

/** @throws UsageError unless it is one of the policies, or undefined. */
export function checkDotfiles(policy: DotfilesPolicy | undefined): void {
  if (policy === undefined || ["allow", "deny", "ignore"].includes(policy)) return;
  throw new UsageError(`dotfiles must be "allow", "deny" or "ignore", got ${shown(policy)}`);
}

/** @throws UsageError unless it is a path, or undefined. An empty root would be the working directory by accident. */
export function checkRoot(root: string | undefined): void {
  if (root === undefined || (typeof root === "string" && root !== "")) return;
  throw new UsageError(`root must be the path of a directory, got ${shown(root)}`);
}

/**
 * The file below `root` that a request path names. A trailing slash is kept, so that it never names a plain file.
 *
 * @param root a directory.
 * @param urlPath path of a request target: percent-encoded, without a query; the leading slash is optional.
 * @throws FileError no-entry for a path that names nothing below the root, or a hidden name under `"ignore"`;
 *   no-access for a hidden name under `"deny"`.
 */
export function pathBelowRoot(root: string, urlPath: string, dotfiles: DotfilesPolicy): string {
  const segments = urlPath.split("/");
  if (segments[0] === "") segments.shift();
  const last = segments.length - 1;
  for (let i = 0; i <= last; i++) {
    const segment = segments[i]!;
    // An empty last segment is a trailing slash; one in between would be another spelling of the same file, and
    // `//host` in front reads as an authority once it stands in a Location.
    if (segment === "" && i === last) continue;
    const name = decodeSegment(segment);
    if (name === undefined || !isSafeName(name, i === 0)) throw new FileError("no-entry", urlPath);
    if (isHidden(name, i === 0)) checkHidden(urlPath, dotfiles);
    segments[i] = name;
  }
  return join(root, ...segments) + (segments[last] === "" ? "/" : "");
}

function decodeSegment(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined; // "%zz", or bytes that are not UTF-8
  }
}

const driveLetter = /^[a-z]:/i;

function isSafeName(name: string, isFirst: boolean): boolean {
  if (name === "" || name === "." || name === "..") return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === 0 || code === 0x2f || code === 0x5c) return false;
  }
  if (isFirst && driveLetter.test(name)) return false;
  return process.platform !== "win32" || isSafeWindowsName(name);
}

// Device names, with any extension; alternate data streams; trailing dots and spaces, which Windows strips, so that
// "secret.txt." would pass a check made for "secret.txt".
const windowsReserved = /^(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\.|$)|[:<>"|?*]|[. ]$/i;

function isSafeWindowsName(name: string): boolean {
  return !windowsReserved.test(name);
}

function isHidden(name: string, isFirst: boolean): boolean {
  return name.startsWith(".") && !(isFirst && name === ".well-known");
}

function checkHidden(urlPath: string, dotfiles: DotfilesPolicy): void {
  if (dotfiles === "ignore") throw new FileError("no-entry", urlPath);
  if (dotfiles === "deny") throw new FileError("no-access", urlPath);
}
