// Proactive negotiation of content codings (RFC 9110 §12.5.3), and the `vary` field that goes with it (§12.5.5).

import Negotiator from "negotiator";
import { type Field, type Fields, getField } from "./fields.ts";

/** Content codings this package can make or look for (IANA names). */
export type ContentCoding = "br" | "zstd" | "gzip" | "deflate";

// The published types of negotiator leave out this argument of its version 1.
interface EncodingNegotiator {
  encodings(available: readonly string[], options: { preferred: readonly string[] }): string[];
}

/**
 * The codings among `available` that the client accepts, best first, with `"identity"` in its place among them.
 *
 * Without the field, or with an empty one, only identity. The standard allows any coding then, but a client that sends no
 * field can rarely decode one.
 *
 * @param acceptEncoding value of `accept-encoding`, lines joined by commas.
 * @param available codings on offer, in the server's order of preference; it decides between equal weights.
 * @returns empty if the client refuses identity (`identity;q=0` or `*;q=0`) and everything on offer.
 */
export function acceptableCodings<Coding extends string>(
  acceptEncoding: string | undefined,
  available: readonly Coding[],
): readonly (Coding | "identity")[] {
  if (acceptEncoding === undefined || acceptEncoding.trim() === "") return ["identity"];
  const offered: readonly (Coding | "identity")[] = [...available, "identity"];
  const negotiator: EncodingNegotiator = new Negotiator({
    headers: { "accept-encoding": acceptEncoding },
  }) as unknown as EncodingNegotiator;
  return negotiator.encodings(offered, { preferred: offered }) as (Coding | "identity")[];
}

/**
 * A `vary` value that also names `name`.
 *
 * @param existing the value so far, if any. `*` stays as it is; a name that is there is not added again.
 */
export function mergeVary(existing: string | undefined, name: string): string {
  if (existing === undefined || existing.trim() === "") return name;
  const names = existing.split(",").map((part) => part.trim().toLowerCase());
  return names.includes("*") || names.includes(name.toLowerCase()) ? existing : `${existing}, ${name}`;
}

/** The fields with one `vary` that also names `name`, at the end. */
export function withVary(fields: Fields, name: string): Field[] {
  const vary = getField(fields, "vary");
  return [...fields.filter((field) => field[0] !== "vary"), ["vary", mergeVary(vary, name)]];
}
