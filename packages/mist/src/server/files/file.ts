// Responses from files: `sendFile`, with conditional requests (RFC 9110 §13) and ranges (§14).
//
// Small files are read here and leave in one write with their head; larger ones are streamed by `file-body.ts`.

import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { checkNames, clock, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { evaluatePreconditions, ifRangeHolds, type Validators } from "../../http/conditional.ts";
import { serializeDate } from "../../http/date.ts";
import { type Field, fieldValue, getField } from "../../http/fields.ts";
import { mediaTypeOf } from "../../http/media-type.ts";
import {
  type ByteRange,
  contentRange,
  defaultMaxRanges,
  multipartByteranges,
  parseRange,
  unsatisfiedRange,
} from "../../http/range.ts";
import { checkRequest, type Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import type { BytesBody, ServerResponse, SourceBody } from "../body/response-body.ts";
import { type FileSegment, fileBody, readSegments, totalLength } from "./file-body.ts";
import { checkDotfiles, checkRoot, type DotfilesPolicy, pathBelowRoot } from "./file-path.ts";
import { closeDescriptor, type OpenFile, openRegularFile } from "./open-file.ts";

/** Options of {@link sendFile}. */
export interface SendFileOptions {
  /** First byte to send. Default 0; beyond the end, the body is empty. */
  readonly offset?: number | undefined;
  /** The maximum number of bytes to send. Default: to the end. */
  readonly limit?: number | undefined;
  /**
   * The request to answer. With it, preconditions and ranges are honoured, relative to what `offset` and `limit`
   * leave of the file. Without it the status is always 200.
   */
  readonly request?: Request<unknown> | undefined;
  /**
   * Directory that the file has to be in. With it, `path` is the path of a request: percent-encoded, always relative
   * to the root, and a path or a symbolic link that leads out of it is refused.
   *
   * Without it, `path` is a path of the file system and is opened as it is, wherever it leads: an absolute path, `..`,
   * a symbolic link. Never pass a path that comes from a request without `root`.
   */
  readonly root?: string | undefined;
  /** How to treat hidden names below `root`. Default `"ignore"`. Needs `root`. */
  readonly dotfiles?: DotfilesPolicy | undefined;
  /** Value of `content-type`. Default: by the extension, with `charset=utf-8` for text. */
  readonly contentType?: string | undefined;
  /** A `Range` field that names more ranges than this is ignored. Default 32; 0 turns ranges off. */
  readonly maxRanges?: number | undefined;
}

/** How an opened file becomes a response, for {@link sendFile} and for the static handler. */
export interface FileAnswer {
  readonly path: string;
  readonly request: Request<unknown> | undefined;
  readonly contentType: string;
  /** Content coding of the file's bytes, if it is a coded sibling of what was asked for. */
  readonly coding?: string | undefined;
  /** Checked fields to send with everything that a cache would keep. */
  readonly fields?: readonly Field[] | undefined;
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
  readonly maxRanges?: number | undefined;
}

/** Bodies up to this many bytes leave in the same write as their head. */
const maxInline = 64 * 1024;

/**
 * A response that sends a file, or part of one.
 *
 * Sets `content-type` and, with `request`, a weak `etag` (from size and time of change), `last-modified` and
 * `accept-ranges`; answers 206 (one range, or several as multipart/byteranges), 304, 412 and 416 as the request's
 * preconditions and ranges require. More fields can be set on the response.
 *
 * The file is not read before the response is sent, unless it is small. If it shrinks meanwhile, the response
 * is broken off.
 *
 * @param path with `root`, the path of a request; without, a path of the file system, which is opened wherever it
 *   leads (see `root`).
 * @throws UsageError (rejects) for an unknown option, an empty root, an offset or limit that is not an integer of at
 *   least 0, or a malformed content type.
 * @throws FileError (rejects): `is-dir` for a directory; `no-entry` for a missing file and for a path that `root`
 *   does not allow (dot segments, encoded slashes, backslashes, NUL, hidden names); `no-access` without permission,
 *   for FIFOs, sockets and devices, and for a symbolic link out of the root; else `unknown`. Uncaught in a handler,
 *   they become 404, 404, 403 and 500.
 *
 * @example `return mist.sendFile(request.path, { root: "public", request });`
 */
export async function sendFile(path: string, options: SendFileOptions = {}): Promise<ServerResponse> {
  checkNames("sendFile", options, sendFileNames);
  const { request, root, dotfiles, offset, limit, maxRanges } = options;
  if (typeof path !== "string") throw new UsageError(`sendFile takes a path, got ${shown(path)}`);
  checkRoot(root);
  checkDotfiles(dotfiles);
  if (dotfiles !== undefined && root === undefined) throw new UsageError("dotfiles needs root");
  checkCount("offset", offset);
  checkCount("limit", limit);
  checkCount("maxRanges", maxRanges);
  if (request !== undefined) checkRequest(request);
  const filePath = root === undefined ? path : pathBelowRoot(root, path, dotfiles ?? "ignore");
  const contentType =
    options.contentType === undefined
      ? mediaTypeOf(filePath)
      : fieldValue("content-type", options.contentType);
  const file = await openRegularFile(filePath, root);
  return answerWithFile(file, { path: filePath, request, contentType, offset, limit, maxRanges });
}

/** The names of {@link SendFileOptions}. */
export const sendFileNames: readonly string[] = [
  "offset",
  "limit",
  "request",
  "root",
  "dotfiles",
  "contentType",
  "maxRanges",
];

/** @throws UsageError unless it is an integer of at least 0, or undefined. */
export function checkCount(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new UsageError(`${name} must be an integer, at least 0, got ${shown(value)}`);
}

/** The response for an open file. Takes the descriptor: it is closed when the promise has settled. */
export async function answerWithFile(file: OpenFile, answer: FileAnswer): Promise<ServerResponse> {
  try {
    const now = clock.wallTime();
    const slice = sliceOf(file.stats, answer);
    const conditional = answer.request !== undefined && isRetrieval(answer.request);
    const validators = conditional ? validatorsOf(file.stats, answer) : undefined;
    const fields = [...(answer.fields ?? []), ...validatorFields(validators, now)];
    if (validators !== undefined) {
      const result = evaluatePreconditions(answer.request!, validators, now);
      if (result === "not-modified") return emptyResponse(304, fields);
      if (result === "precondition-failed") return emptyResponse(412, []);
    }
    const ranges = validators === undefined ? "whole" : selectRanges(answer, slice.length, validators, now);
    if (answer.coding !== undefined) fields.push(["content-encoding", answer.coding]);
    if (conditional && answer.maxRanges !== 0) fields.push(["accept-ranges", "bytes"]);
    if (ranges === "unsatisfiable") {
      return emptyResponse(416, [["content-range", unsatisfiedRange(slice.length)]]);
    }
    const plan = ranges === "whole" ? planWhole(slice, answer) : planRanges(ranges, slice, answer);
    const body = await bodyFor(file, answer, plan.segments);
    return new Response(plan.status, [...plan.fields, ...fields], body);
  } finally {
    closeDescriptor(file.descriptor);
  }
}

function isRetrieval(request: Request<unknown>): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

function emptyResponse(status: number, fields: readonly Field[]): ServerResponse {
  return new Response(status, fields, { kind: "empty" });
}

/** What `offset` and `limit` leave of the file: the representation that ranges refer to. */
function sliceOf(stats: Stats, { offset = 0, limit }: FileAnswer): { offset: number; length: number } {
  const start = Math.min(offset, stats.size);
  return { offset: start, length: Math.min(limit ?? Number.POSITIVE_INFINITY, stats.size - start) };
}

// Weak, for a file can change twice within the resolution of its clock (RFC 9110 §8.8.1). Only from what copies of
// the file on several machines have in common, so no inode number.
function validatorsOf(stats: Stats, answer: FileAnswer): Validators {
  let opaque = `${stats.size.toString(16)}-${Math.round(stats.mtimeMs * 1000).toString(16)}`;
  if (answer.offset !== undefined || answer.limit !== undefined) {
    opaque += `-${answer.offset ?? 0}-${answer.limit ?? ""}`;
  }
  if (answer.coding !== undefined) opaque += `-${answer.coding}`;
  return { etag: `W/"${opaque}"`, lastModifiedMs: stats.mtimeMs };
}

function validatorFields(validators: Validators | undefined, now: number): Field[] {
  if (validators === undefined) return [];
  // §8.8.2.1: never later than the message itself, as a clock running ahead would have it.
  const lastModified = Math.min(validators.lastModifiedMs!, now);
  return [
    ["etag", validators.etag!],
    ["last-modified", serializeDate(lastModified)],
  ];
}

// Range is defined for GET alone (§14.2).
function selectRanges(
  answer: FileAnswer,
  size: number,
  validators: Validators,
  now: number,
): "whole" | "unsatisfiable" | readonly ByteRange[] {
  const { request, maxRanges = defaultMaxRanges } = answer;
  if (request === undefined || request.method !== "GET" || maxRanges === 0) return "whole";
  const range = getField(request.headers, "range");
  if (range === undefined || !ifRangeHolds(getField(request.headers, "if-range"), validators, now))
    return "whole";
  return parseRange(range, size, maxRanges);
}

interface Plan {
  readonly status: number;
  readonly fields: readonly Field[];
  readonly segments: readonly FileSegment[];
}

function planWhole(slice: ByteRange, answer: FileAnswer): Plan {
  return { status: 200, fields: [["content-type", answer.contentType]], segments: [slice] };
}

function planRanges(ranges: readonly ByteRange[], slice: ByteRange, answer: FileAnswer): Plan {
  const runs = ranges.map(({ offset, length }) => ({ offset: slice.offset + offset, length }));
  if (ranges.length === 1) {
    const range = contentRange(ranges[0]!, slice.length);
    const fields: Field[] = [
      ["content-type", answer.contentType],
      ["content-range", range],
    ];
    return { status: 206, fields, segments: runs };
  }
  const frame = multipartByteranges(ranges, slice.length, answer.contentType, randomUUID());
  const segments = runs.flatMap((run, i): FileSegment[] => [Buffer.from(frame.heads[i]!, "latin1"), run]);
  segments.push(Buffer.from(frame.tail, "latin1"));
  return { status: 206, fields: [["content-type", frame.contentType]], segments };
}

async function bodyFor(
  { descriptor, stats }: OpenFile,
  { path, request }: FileAnswer,
  segments: readonly FileSegment[],
): Promise<BytesBody | SourceBody> {
  // HEAD wants the length and never opens the body.
  if (request?.method !== "HEAD" && totalLength(segments) <= maxInline) {
    return { kind: "bytes", data: await readSegments(descriptor, path, segments) };
  }
  return fileBody(path, stats, segments);
}
