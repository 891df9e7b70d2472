// Errors as answers: which status an error stands for, and whose fault it is.

import { BodyError, DeadlineError, FileError, ProtocolError } from "../errors.ts";
import { reasonPhrase } from "../http/status.ts";
import { response } from "../http/response.ts";
import { bytes, type ServerResponse } from "./response-body.ts";

/** The status to answer when `error` was not handled. 500 for anything that is our side's fault. */
export function statusOfError(error: unknown): number {
  if (error instanceof ProtocolError || error instanceof BodyError) return error.status ?? 400;
  if (error instanceof DeadlineError) return error.status;
  if (error instanceof FileError) return fileStatus[error.reason];
  return 500;
}

const fileStatus = { "is-dir": 404, "no-entry": 404, "no-access": 403, unknown: 500 } as const;

/** True if the client caused it, so that nobody here need hear of it. */
export function isPeersFault(error: unknown): boolean {
  return statusOfError(error) < 500;
}

/** What the client is told of an error. Says the status and nothing about the inside. Ends the connection. */
export function errorResponse(error: unknown): ServerResponse {
  const status = statusOfError(error);
  return response(status)
    .setHeader("content-type", "text/plain; charset=utf-8")
    .setHeader("connection", "close")
    .setBody(bytes(`${status} ${reasonPhrase(status)}\n`));
}
