// A handler that serves a directory: index files, redirects of directories, coded siblings, cache-control.
//
// `file-path.ts` decides what a URL may name, `open-file.ts` where a link may lead.

import { join, relative, resolve, sep } from "node:path";
import { checkFunction, checkNames, shown } from "@x/glisten/kit";
import { FileError, UsageError } from "../../errors.ts";
import { acceptableCodings } from "../../http/content-negotiation.ts";
import { type Field, fieldValue, getField } from "../../http/fields.ts";
import { isCompressibleType, mediaTypeEssence, mediaTypeOf } from "../../http/media-type.ts";
import type { Request } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import { reasonPhrase } from "../../http/status.ts";
import type { ServerResponse } from "../body/response-body.ts";
import { answerWithFile, checkCount } from "./file.ts";
import { checkDotfiles, checkRoot, type DotfilesPolicy, pathBelowRoot } from "./file-path.ts";
import { closeDescriptor, type OpenFile, openRegularFile } from "./open-file.ts";

/** A file about to be served. */
export interface StaticFile {
  /** Path below the root, decoded, with slashes: `assets/app.3f2a.js`. For an index, the index file's. */
  readonly path: string;
  /** Value of `content-type`. */
  readonly contentType: string;
  /** Bytes of the file that is sent: of the coded sibling, if that is it. */
  readonly size: number;
  /** Time of its last change. */
  readonly modified: Date;
}

/** Options of {@link staticFiles}. */
export interface StaticFilesOptions<Body = unknown> {
  /** The directory to serve. */
  readonly root: string;
  /** Where it is mounted. Default `"/"`; with `"/assets"`, `/assets/a.js` is the file `a.js`. */
  readonly prefix?: string | undefined;
  /**
   * Index files to look for in a directory, in order; false for none. Default `"index.html"`. With index files, a
   * directory without its trailing slash is redirected (301).
   */
  readonly index?: string | readonly string[] | false | undefined;
  /** Value of `cache-control`, or a function that gives it, or undefined for none. Default: none. */
  readonly cacheControl?: string | ((file: StaticFile) => string | undefined) | undefined;
  /**
   * Whether to serve `a.js.br`, `a.js.zst` or `a.js.gz` in place of `a.js` to clients that accept it, or which of them,
   * in order of preference. Looked for beside files of a compressible or unknown type. `true` means br, zstd, gzip.
   * Default: false.
   */
  readonly precompressed?: boolean | readonly SiblingCoding[] | undefined;
  /** How to treat hidden names. Default `"ignore"`: as missing. */
  readonly dotfiles?: DotfilesPolicy | undefined;
  /** A `Range` field that names more ranges than this is ignored. Default 32; 0 turns ranges off. */
  readonly maxRanges?: number | undefined;
  /** Answers requests for which there is no file, and methods other than GET and HEAD. Default: 404, 405. */
  readonly fallback?: ((request: Request<Body>) => ServerResponse | Promise<ServerResponse>) | undefined;
}

/** Codings that have a customary file extension. */
export type SiblingCoding = "br" | "zstd" | "gzip";

const extensions: Readonly<Record<SiblingCoding, string>> = { br: ".br", zstd: ".zst", gzip: ".gz" };

interface Settings {
  readonly root: string;
  readonly prefix: string;
  readonly indexes: readonly string[];
  readonly codings: readonly SiblingCoding[];
  readonly cacheControl: StaticFilesOptions["cacheControl"];
  readonly dotfiles: DotfilesPolicy;
  readonly maxRanges: number | undefined;
}

/**
 * A handler that serves the files of a directory, with everything that `sendFile` does for a request.
 *
 * Answers 404 for what is missing or lies outside the root (see `sendFile`), 403 without permission, 405 with `allow` for
 * methods other than GET and HEAD, 406 to a client that refuses every coding there is. Other failures of the file system
 * are thrown, as a FileError `unknown`.
 *
 * @throws UsageError for an unknown option, no root or an empty one, a prefix that is not an absolute path, an index
 *   that is not a plain file name.
 *
 * @example `mist.new(mist.staticFiles({ root: "public", cacheControl: "max-age=3600", precompressed: true }))`
 */
export function staticFiles<Body = unknown>(
  options: StaticFilesOptions<Body>,
): (request: Request<Body>) => Promise<ServerResponse> {
  const settings = settingsOf(options);
  const { fallback } = options;
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return fallback === undefined ? refusal(405, [["allow", "GET, HEAD"]]) : fallback(request);
    }
    try {
      return await serve(request, settings);
    } catch (error) {
      if (!(error instanceof FileError) || error.status >= 500) throw error;
      if (error.status === 404 && fallback !== undefined) return fallback(request);
      return refusal(error.status);
    }
  };
}

function settingsOf<Body>(options: StaticFilesOptions<Body>): Settings {
  checkNames("staticFiles", options, optionNames);
  const { root, prefix = "/", index = "index.html", precompressed = false } = options;
  const { cacheControl, dotfiles, maxRanges, fallback } = options;
  if (root === undefined) throw new UsageError("staticFiles needs a root, the path of a directory");
  checkRoot(root);
  checkDotfiles(dotfiles);
  checkCount("maxRanges", maxRanges);
  if (fallback !== undefined) checkFunction("fallback", fallback);
  if (typeof cacheControl === "string") fieldValue("cache-control", cacheControl);
  else if (cacheControl !== undefined) checkFunction("cacheControl", cacheControl);
  if (typeof prefix !== "string" || !/^\/(?:[^/\\?#][^\\?#]*)?$/.test(prefix)) {
    throw new UsageError(`prefix must be an absolute path, got ${shown(prefix)}`);
  }
  const indexes = index === false ? [] : [index].flat();
  for (const name of indexes) {
    if (typeof name !== "string" || !/^[^/\\\0]+$/.test(name)) {
      throw new UsageError(`index must be a file name, several, or false, got ${shown(name)}`);
    }
  }
  return {
    root: resolve(root),
    prefix: prefix.replace(/\/+$/, ""),
    indexes,
    codings: siblingCodings(precompressed),
    cacheControl,
    dotfiles: dotfiles ?? "ignore",
    maxRanges,
  };
}

// biome-ignore format: one line reads better than eight
const optionNames = ["root", "prefix", "index", "cacheControl", "precompressed", "dotfiles", "maxRanges", "fallback"];

function siblingCodings(precompressed: boolean | readonly SiblingCoding[]): readonly SiblingCoding[] {
  if (typeof precompressed === "boolean") return precompressed ? ["br", "zstd", "gzip"] : [];
  const known = Object.keys(extensions).map((coding) => JSON.stringify(coding));
  if (!Array.isArray(precompressed)) {
    throw new UsageError(
      `precompressed must be true, false or a list of ${known.join(", ")}, got ${shown(precompressed)}`,
    );
  }
  for (const coding of precompressed) {
    if (Object.hasOwn(extensions, coding)) continue;
    throw new UsageError(`precompressed may contain ${known.join(", ")}, got ${shown(coding)}`);
  }
  return precompressed;
}
async function serve(request: Request<unknown>, settings: Settings): Promise<ServerResponse> {
  const { root, prefix, dotfiles } = settings;
  const { path } = request;
  if (path !== prefix && !path.startsWith(`${prefix}/`)) throw new FileError("no-entry", path);
  const below = path.slice(prefix.length);
  const filePath = pathBelowRoot(root, below, dotfiles);
  if (below === "" && settings.indexes.length > 0) return redirectToDirectory(request);
  if (filePath.endsWith("/")) return serveIndex(request, filePath, settings);
  try {
    return await serveFile(request, filePath, settings);
  } catch (error) {
    if (!isReason(error, "is-dir") || settings.indexes.length === 0) throw error;
    return redirectToDirectory(request);
  }
}

async function serveIndex(
  request: Request<unknown>,
  directory: string,
  settings: Settings,
): Promise<ServerResponse> {
  for (const name of settings.indexes) {
    try {
      return await serveFile(request, join(directory, name), settings);
    } catch (error) {
      if (!isReason(error, "no-entry") && !isReason(error, "is-dir")) throw error;
    }
  }
  throw new FileError("no-entry", directory);
}

// The path has passed `pathBelowRoot`: it has no empty segment, so this cannot read as `//another-host/`.
function redirectToDirectory(request: Request<unknown>): ServerResponse {
  const query = request.query === undefined ? "" : `?${request.query}`;
  return refusal(301, [["location", fieldValue("location", `${request.path}/${query}`)]]);
}

interface Variant {
  readonly file: OpenFile;
  readonly path: string;
  readonly coding: SiblingCoding | undefined;
}

async function serveFile(
  request: Request<unknown>,
  path: string,
  settings: Settings,
): Promise<ServerResponse> {
  const contentType = mediaTypeOf(path);
  const negotiable = settings.codings.length > 0 && mayHaveCodedSiblings(contentType);
  const vary: readonly Field[] = negotiable ? [["vary", "accept-encoding"]] : [];
  const variant = negotiable
    ? await openVariant(request, path, settings)
    : { file: await openRegularFile(path, settings.root), path, coding: undefined };
  if (variant === undefined) return refusal(406, vary);
  const { maxRanges } = settings;
  const fields = [...vary, ...cacheControlFields(variant, path, contentType, settings)];
  return answerWithFile(variant.file, {
    path: variant.path,
    request,
    contentType,
    fields,
    maxRanges,
    ...(variant.coding !== undefined && { coding: variant.coding }),
  });
}

// To look for siblings costs an `open` each: not for images and the like, which are compressed already.
function mayHaveCodedSiblings(contentType: string): boolean {
  return isCompressibleType(contentType) || mediaTypeEssence(contentType) === "application/octet-stream";
}

/** The variant the client likes best of those there are; undefined if it takes none. */
async function openVariant(
  request: Request<unknown>,
  path: string,
  settings: Settings,
): Promise<Variant | undefined> {
  for (const coding of acceptableCodings(getField(request.headers, "accept-encoding"), settings.codings)) {
    if (coding === "identity") {
      return { file: await openRegularFile(path, settings.root), path, coding: undefined };
    }
    const file = await openSibling(path + extensions[coding], settings.root);
    if (file !== undefined) return { file, path: path + extensions[coding], coding };
  }
  // Tells a missing file and a directory from one that cannot be had in this way.
  const plain = await openRegularFile(path, settings.root);
  closeDescriptor(plain.descriptor);
  return undefined;
}

async function openSibling(path: string, root: string): Promise<OpenFile | undefined> {
  try {
    return await openRegularFile(path, root);
  } catch (error) {
    if (isReason(error, "unknown")) throw error;
    return undefined;
  }
}

function cacheControlFields(
  { file }: Variant,
  path: string,
  contentType: string,
  { cacheControl, root }: Settings,
): readonly Field[] {
  if (cacheControl === undefined) return [];
  try {
    const value =
      typeof cacheControl === "string"
        ? cacheControl
        : cacheControl({
            path: relative(root, path).replaceAll(sep, "/"),
            contentType,
            size: file.stats.size,
            modified: file.stats.mtime,
          });
    return value === undefined ? [] : [["cache-control", fieldValue("cache-control", value)]];
  } catch (error) {
    closeDescriptor(file.descriptor);
    throw error;
  }
}

function isReason(error: unknown, reason: FileError["reason"]): boolean {
  return error instanceof FileError && error.reason === reason;
}

function refusal(status: number, fields: readonly Field[] = []): ServerResponse {
  const type: Field = ["content-type", "text/plain; charset=utf-8"];
  return new Response(status, [type, ...fields], {
    kind: "bytes",
    data: `${status} ${reasonPhrase(status)}\n`,
  });
}
