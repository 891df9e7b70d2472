// Media types (RFC 9110 §8.3): the type of a file by its extension, and which types are worth compressing.

import { mimes } from "mrmime";

// Common on the web and not in mrmime's list, which holds what IANA marks as current.
const additions: readonly (readonly [string, string])[] = [
  ["ico", "image/x-icon"],
  ["zst", "application/zstd"],
];

// A Map, since an extension can be any text: `mimes["constructor"]` would be a function.
const typesByExtension: ReadonlyMap<string, string> = new Map([...Object.entries(mimes), ...additions]);

const unknownType = "application/octet-stream";

/**
 * The media type for a file name, with `charset=utf-8` for text. `application/octet-stream` for an unknown extension
 * and for a name without one.
 *
 * @param name a file name or path; only its extension counts, in any case.
 */
export function mediaTypeOf(name: string): string {
  const base = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  const dot = base.lastIndexOf(".");
  // A leading dot starts a hidden name, not an extension.
  if (dot <= 0) return unknownType;
  const extension = base.slice(dot + 1).toLowerCase();
  const type = typesByExtension.get(extension) ?? unknownType;
  return type.startsWith("text/") ? `${type}; charset=utf-8` : type;
}

/** The type and subtype in lower case, without parameters: `text/html` for `Text/HTML; charset=utf-8`. */
export function mediaTypeEssence(contentType: string): string {
  const semicolon = contentType.indexOf(";");
  return (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}

// Types outside text/*, +json and +xml that are not compressed by themselves.
const compressible = new Set([
  "application/dash+xml",
  "application/ecmascript",
  "application/eot",
  "application/graphql",
  "application/javascript",
  "application/json",
  "application/jsonlines",
  "application/ndjson",
  "application/rtf",
  "application/sql",
  "application/toml",
  "application/vnd.apple.mpegurl",
  "application/vnd.ms-fontobject",
  "application/wasm",
  "application/x-javascript",
  "application/x-ndjson",
  "application/x-sh",
  "application/x-tar",
  "application/x-www-form-urlencoded",
  "application/xml",
  "application/yaml",
  "font/otf",
  "font/sfnt",
  "font/ttf",
  "image/bmp",
  "image/vnd.microsoft.icon",
  "image/x-icon",
]);

/**
 * Whether bytes of this type usually shrink much when compressed: text, JSON, XML, WebAssembly, uncompressed fonts;
 * not images, audio, video or archives.
 *
 * @param contentType value of a `content-type` field.
 */
export function isCompressibleType(contentType: string): boolean {
  const type = mediaTypeEssence(contentType);
  return (
    type.startsWith("text/") || type.endsWith("+json") || type.endsWith("+xml") || compressible.has(type)
  );
}
