// Response compression around a handler (RFC 9110 §8.4, §12.5.3).
//
// Decides and adapts the fields; the coding itself is in `content-coder.ts` and `compressed-body.ts`.
//
// Secrets beside text that an attacker chooses (a token and an echoed query in one page) can be guessed from the
// length of the compressed response (BREACH). Send such pages with `cache-control: no-transform`, or outside `compress`.

import { Buffer } from "node:buffer";
import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { acceptableCodings, type ContentCoding, withVary } from "../../http/content-negotiation.ts";
import { parseEntityTag, serializeEntityTag } from "../../http/entity-tag.ts";
import { type Field, type Fields, getField } from "../../http/fields.ts";
import { isCompressibleType, mediaTypeEssence } from "../../http/media-type.ts";
import type { Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import type { ResponseBody, ServerResponse } from "../body/response-body.ts";
import type { Handler } from "../exchange/service.ts";
import { wrapHandler } from "../wrappers/wrap-handler.ts";
import { compressedActor, compressedIterable, compressedSource } from "./compressed-body.ts";
import { codingLevels, encode, encodeSync, toBytes } from "./content-coder.ts";

/** Options of {@link compress}. */
export interface CompressOptions {
  /**
   * Codings to offer, in order of preference where the client has none. Default: br, zstd (where Node has it), gzip.
   * `"deflate"` is for clients that support nothing else.
   */
  readonly codings?: readonly ContentCoding[] | undefined;
  /**
   * Levels: br 0 to 11, default 4; zstd 1 to 19, default 3; gzip and deflate 1 to 9, default 6. The defaults are for
   * bodies generated for each request; compress what never changes once, see `staticFiles`.
   */
  readonly levels?: { readonly [Coding in ContentCoding]?: number | undefined } | undefined;
  /** Bodies known to be shorter than this many bytes are left as they are. Default 1024. */
  readonly minLength?: number | undefined;
  /**
   * Which media types to compress: names such as `"text/html"` and `"text/*"`, or a function that is given the
   * `content-type`. Default: text, JSON, XML and the like. A response without a type is never compressed.
   */
  readonly types?: readonly string[] | ((contentType: string) => boolean) | undefined;
}

interface Settings {
  readonly codings: readonly ContentCoding[];
  readonly levels: Readonly<Record<ContentCoding, number>>;
  readonly minLength: number;
  readonly isCompressible: (contentType: string) => boolean;
}

/**
 * Wraps a handler so that its responses are compressed for clients that accept it.
 *
 * Left as they are: responses to clients that do not ask, short ones, types that gain nothing, 206 and anything else
 * with `content-range`, those that already have a `content-encoding` or a digest of their content, `cache-control:
 * no-transform`, and upgrades. A response that could have been compressed has `vary: accept-encoding`. The strong `etag`
 * of a compressed response becomes weak, and its `accept-ranges` is removed.
 *
 * Complete bodies keep a `content-length`; others are compressed while they are sent. When a producer pauses, what it
 * has produced so far is flushed to the client.
 *
 * @throws UsageError for an unknown option or coding, one that this version of Node does not have, or a level out of range.
 *
 * @example `mist.new(mist.compress(handler, { codings: ["gzip"] }))`
 */
export function compress<Body = unknown>(
  handler: Handler<Body>,
  options: CompressOptions = {},
): Handler<Body> {
  const settings = settingsOf(options);
  return wrapHandler("compress", handler, (request, response) =>
    compressResponse(request, response, settings),
  );
}

const defaultLevels = { br: 4, deflate: 6, gzip: 6, zstd: 3 } as const;
const defaultCodings: readonly ContentCoding[] = ["br", "zstd", "gzip"];

function settingsOf(options: CompressOptions): Settings {
  checkNames("compress", options, ["codings", "levels", "minLength", "types"]);
  const { minLength = 1024, types, levels: given = {} } = options;
  checkNames("levels", given, allCodings);
  const levels: Record<ContentCoding, number> = { ...defaultLevels };
  for (const coding of allCodings) levels[coding] = given[coding] ?? levels[coding];
  const codings = options.codings ?? defaultCodings.filter((coding) => codingLevels(coding) !== undefined);
  if (!Array.isArray(codings)) throw new UsageError(`codings must be a list, got ${shown(codings)}`);
  for (const coding of codings) checkLevel(coding, levels[coding as ContentCoding]);
  if (!(typeof minLength === "number" && minLength >= 0)) {
    throw new UsageError(`minLength must be a number of bytes, at least 0, got ${shown(minLength)}`);
  }
  return { codings, levels, minLength, isCompressible: typePredicate(types) };
}

const allCodings = Object.keys(defaultLevels) as ContentCoding[];

function checkLevel(coding: ContentCoding, level: number): void {
  if (!allCodings.includes(coding)) {
    const known = allCodings.map((name) => JSON.stringify(name)).join(", ");
    throw new UsageError(`codings may contain ${known}, got ${shown(coding)}`);
  }
  const range = codingLevels(coding);
  if (range === undefined) {
    throw new UsageError(`content coding ${coding} needs Node.js 22.15 or newer; this is ${process.version}`);
  }
  const [lowest, highest] = range;
  if (Number.isInteger(level) && level >= lowest && level <= highest) return;
  throw new UsageError(
    `the level of ${coding} must be an integer from ${lowest} to ${highest}, got ${shown(level)}`,
  );
}

function typePredicate(types: CompressOptions["types"]): (contentType: string) => boolean {
  if (types === undefined) return isCompressibleType;
  if (typeof types === "function") return types;
  if (!Array.isArray(types) || !types.every((type) => typeof type === "string")) {
    throw new UsageError(`types must be a list of media types or a function, got ${shown(types)}`);
  }
  const names = new Set(types.map((type) => type.toLowerCase()));
  return (contentType) => {
    const type = mediaTypeEssence(contentType);
    return names.has(type) || names.has(`${type.slice(0, type.indexOf("/"))}/*`);
  };
}

function compressResponse(
  request: Request<unknown>,
  response: ServerResponse,
  settings: Settings,
): ServerResponse | Promise<ServerResponse> {
  const isUpdate = response.status === 304;
  if (!isUpdate && !isCandidate(response, settings)) return response;
  const accepted = acceptableCodings(getField(request.headers, "accept-encoding"), settings.codings);
  const coding = accepted[0];
  if (coding === undefined || coding === "identity") return withFields(response, varied(response.headers));
  // RFC 9110 §15.4.5: with the etag and the vary that a 200 would have had.
  if (isUpdate) return withFields(response, weakened(varied(response.headers)));
  const { body } = response;
  const level = settings.levels[coding];
  switch (body.kind) {
    case "bytes":
      return compressBytes(response, toBytes(body.data), coding, level, accepted.includes("identity"));
    case "source":
      return coded(response, coding, compressedSource(body, coding, level));
    case "iterable":
      return coded(response, coding, compressedIterable(body, coding, level));
    case "actor":
      return coded(response, coding, compressedActor(body, coding, level));
    default:
      return response;
  }
}

// Fields that describe the content as it is, and would be wrong for the coded content.
const contentBound = ["content-range", "content-digest", "repr-digest", "digest", "content-md5"];

function isCandidate(response: ServerResponse, settings: Settings): boolean {
  const { status, body } = response;
  if (body.kind === "empty" || body.kind === "upgrade") return false;
  if (status === 204 || status === 205 || status === 206) return false;
  const length = knownLength(body);
  if (length !== undefined && length < settings.minLength) return false;
  const contentType = response.getHeader("content-type");
  if (contentType === undefined || !settings.isCompressible(contentType)) return false;
  if (contentBound.some((name) => response.getHeader(name) !== undefined)) return false;
  return !hasMember(response.headers, "content-encoding", isRealCoding) && !isTransformForbidden(response);
}

function knownLength(body: ResponseBody): number | undefined {
  if (body.kind === "bytes") return Buffer.byteLength(body.data);
  return body.kind === "source" ? body.length : undefined;
}

function isRealCoding(member: string): boolean {
  return member !== "" && member !== "identity";
}

function isTransformForbidden({ headers }: ServerResponse): boolean {
  return hasMember(headers, "cache-control", (member) => member === "no-transform");
}

function hasMember(fields: Fields, name: string, test: (member: string) => boolean): boolean {
  return fields.some(
    (field) => field[0] === name && field[1].split(",").some((member) => test(member.trim().toLowerCase())),
  );
}

// Below this the coder takes less time than a round trip to the thread pool: about a tenth of a millisecond.
const maxSync = 16 * 1024;

function compressBytes(
  response: ServerResponse,
  data: Uint8Array,
  coding: ContentCoding,
  level: number,
  identityAccepted: boolean,
): ServerResponse | Promise<ServerResponse> {
  const finish = (bytes: Buffer) =>
    bytes.length >= data.length && identityAccepted
      ? withFields(response, varied(response.headers))
      : coded(response, coding, { kind: "bytes", data: bytes });
  // The highest levels of brotli and zstd are a hundred times slower.
  if (data.length <= maxSync && level <= 6) return finish(encodeSync(coding, level, data));
  return encode(coding, level, data).then(finish);
}

// Announced for the content as it was.
const dropped = new Set(["content-length", "content-encoding", "accept-ranges"]);

function coded(response: ServerResponse, coding: ContentCoding, body: ResponseBody): ServerResponse {
  const fields = weakened(varied(response.headers)).filter((field) => !dropped.has(field[0]));
  fields.push(["content-encoding", coding]);
  return new Response(response.status, fields, body, response.trailers);
}

function withFields(response: ServerResponse, fields: Fields): ServerResponse {
  return new Response(response.status, fields, response.body, response.trailers);
}

function varied(fields: Fields): Field[] {
  return withVary(fields, "accept-encoding");
}

// RFC 9110 §8.8.3.3: a strong tag belongs to one coding of the content only.
function weakened(fields: Field[]): Field[] {
  return fields.map((field) => {
    const tag = field[0] === "etag" ? parseEntityTag(field[1]) : undefined;
    return tag === undefined ? field : ["etag", serializeEntityTag({ ...tag, weak: true })];
  });
}
