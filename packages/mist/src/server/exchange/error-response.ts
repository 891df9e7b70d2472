// Errors as answers: which status an error stands for, and whose fault it is.

import { BodyError, FileError, ProtocolError, RequestTimeoutError } from "../../errors.ts";
import { response } from "../../http/response.ts";
import { reasonPhrase } from "../../http/status.ts";
import { bytes, type ServerResponse } from "../body/response-body.ts";

/** The status to answer when `error` was not handled. 500 for anything that is our side's fault. */
export function statusOfError(error: unknown): number {
  if (error instanceof ProtocolError || error instanceof BodyError) return error.status ?? 400;
  if (error instanceof RequestTimeoutError || error instanceof FileError) return error.status;
  return 500;
}

/** True if the client caused it, so that nobody here need hear of it. */
export function isPeersFault(error: unknown): boolean {
  return statusOfError(error) < 500;
}

/**
 * What the client is told of an error: the status, and nothing about the inside. Ends the connection, for what is
 * left of the request cannot be trusted; a missing file is no such case.
 */
export function errorResponse(error: unknown): ServerResponse {
  const status = statusOfError(error);
  const refusal = response(status)
    .setHeader("content-type", "text/plain; charset=utf-8")
    .setBody(bytes(`${status} ${reasonPhrase(status)}\n`));
  return error instanceof FileError && status < 500 ? refusal : refusal.setHeader("connection", "close");
}
