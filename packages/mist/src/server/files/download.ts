// A file to be saved: `sendFile` with a `content-disposition` (RFC 6266).

import { checkNames, shown } from "@x/glisten/kit";
import { create } from "content-disposition";
import { UsageError } from "../../errors.ts";
import type { ServerResponse } from "../body/response-body.ts";
import { type SendFileOptions, sendFile, sendFileNames } from "./file.ts";

/** Options of {@link download}: those of `sendFile`, and the name. */
export interface DownloadOptions extends SendFileOptions {
  /**
   * The name to offer. Of a path only the last segment is used, and control characters are replaced. Default: the file's
   * own.
   */
  readonly filename?: string | undefined;
  /** `"inline"`: to be shown if the browser can, and saved under this name if wanted. Default `"attachment"`. */
  readonly disposition?: "attachment" | "inline" | undefined;
}

const names = [...sendFileNames, "filename", "disposition"];

/**
 * A response that sends a file to be saved, as `sendFile` does, with ranges and all. A name that is not ASCII is sent encoded
 * (RFC 8187), with a fallback for old clients.
 *
 * @throws UsageError (rejects) for an unknown or wrong option, FileError (rejects), as `sendFile` does.
 *
 * @example `return mist.download("reports/7.pdf", { filename: "R\u00e9sum\u00e9.pdf", request });`
 */
export async function download(path: string, options: DownloadOptions = {}): Promise<ServerResponse> {
  checkNames("download", options, names);
  const { filename, disposition = "attachment", ...rest } = options;
  if (filename !== undefined && typeof filename !== "string")
    throw new UsageError(`filename must be a string, got ${shown(filename)}`);
  if (disposition !== "attachment" && disposition !== "inline")
    throw new UsageError(`disposition must be "attachment" or "inline", got ${shown(disposition)}`);
  const response = await sendFile(path, rest);
  // With no content there is nothing to save.
  if (response.status !== 200 && response.status !== 206) return response;
  const offered = savedName(filename ?? (rest.root === undefined ? path : decodeURIComponent(path)));
  return response.setHeader("content-disposition", create(offered, { type: disposition }));
}

// RFC 6266 §4.3: clients use the last segment alone; those that do not would write elsewhere.
function savedName(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
  // Control characters, and halves of surrogate pairs, which cannot be encoded.
  return name.replaceAll(/[\p{Cc}\p{Cs}]/gu, "_") || "download";
}
