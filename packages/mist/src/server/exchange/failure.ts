// Failures as responses: which status an error stands for, whose fault it is, and what the client is told.

import { type CloseReason, TransportError } from "@x/glisten";
import { refusePromise } from "@x/glisten/kit";
import { FileError, ProtocolError } from "../../errors.ts";
import { HttpError } from "../../http/http-error.ts";
import type { Request } from "../../http/request.ts";
import { type EmptyBody, Response, response } from "../../http/response.ts";
import { reasonPhrase } from "../../http/status.ts";
import { type BytesBody, bytes } from "../body/response-body.ts";
import type { IncomingBody } from "./request-body.ts";
import { report, type Service } from "./service.ts";

/** A response that is all there. */
export type FailureResponse = Response<EmptyBody | BytesBody>;

/**
 * The status to answer when `error` was not handled: its own `status`, if that is an integer from 400 to 599. 400 for a
 * broken protocol without one, 500 for anything else.
 */
export function statusOfError(error: unknown): number {
  let status: unknown;
  try {
    status = (error as { readonly status?: unknown } | null | undefined)?.status;
  } catch {
    return 500; // a getter of the user's, or a proxy
  }
  if (typeof status === "number" && Number.isInteger(status) && status >= 400 && status <= 599) return status;
  return error instanceof ProtocolError ? 400 : 500;
}

/** The reason of `request.signal`: an `AbortError`, as fetch has it and frameworks look for it; its cause is `gone`. */
export function abortReason(gone: unknown): DOMException {
  const message = gone instanceof Error ? gone.message : "the client has gone";
  const reason = new DOMException(message, "AbortError");
  // Node's constructor takes a cause, others do not.
  return Object.defineProperty(reason, "cause", { value: gone, writable: true, configurable: true });
}

// The reason of the signal is one step from its cause; functions that are given a signal wrap its reason, and
// theirs is wrapped at times. A chain that leads back to itself ends here, too.
const maxCauses = 4;

/** Whether `error` is `reason`, or has it among its causes. */
export function isOrComesFrom(error: unknown, reason: unknown): boolean {
  try {
    let cause = error;
    for (let steps = 0; steps <= maxCauses; steps++) {
      if (cause === reason) return true;
      cause = (cause as { readonly cause?: unknown } | null | undefined)?.cause;
    }
    return false;
  } catch {
    return false; // a getter of the user's, or a proxy
  }
}

/** True if the client caused it, so that nobody here need hear of it. */
export function isPeersFault(error: unknown): boolean {
  return statusOfError(error) < 500;
}

/**
 * Answers `error` with what `onFailure` makes of it, else with the status and its name. A failure of `onFailure`, and a
 * response of its making that cannot be sent, are reported, and the default is sent instead.
 */
export function answerFailure(
  service: Service,
  error: unknown,
  request: Request<IncomingBody> | undefined,
  send: (response: FailureResponse) => void,
): void {
  const { onFailure } = service;
  if (onFailure !== undefined) {
    try {
      const made: unknown = onFailure(error, request);
      refusePromise("onFailure", made);
      if (!isWhole(made))
        throw new TypeError("onFailure must return a mist.response(…) whose body is empty or mist.bytes(…)");
      send(endsConnection(error) ? made.setHeader("connection", "close") : made);
      return;
    } catch (failure) {
      report(service, { error: failure, request, during: "failure" });
    }
  }
  send(plainFailure(error));
}

/** The status and its name, or the message and headers of an {@link HttpError}; nothing about the inside. */
function plainFailure(error: unknown): FailureResponse {
  const status = statusOfError(error);
  let failure: FailureResponse = response(status)
    .setHeader("content-type", "text/plain; charset=utf-8")
    .setBody(bytes(`${publicMessage(error) ?? `${status} ${reasonPhrase(status)}`}\n`));
  if (error instanceof HttpError)
    for (const [name, value] of error.headers) failure = failure.setHeader(name, value);
  return endsConnection(error) ? failure.setHeader("connection", "close") : failure;
}

// What an HttpError says about the client is for the client; what it says about the server is not.
function publicMessage(error: unknown): string | undefined {
  return error instanceof HttpError && error.status < 500 && error.message !== "" ? error.message : undefined;
}

// Behind a failure nobody foresaw, what is left of the request cannot be trusted. A refusal by the handler is no such
// case, and a missing file neither.
function endsConnection(error: unknown): boolean {
  return !((error instanceof FileError && error.status < 500) || error instanceof HttpError);
}

function isWhole(made: unknown): made is FailureResponse {
  if (!(made instanceof Response)) return false;
  const { kind } = made.body as EmptyBody | BytesBody;
  return kind === "empty" || kind === "bytes";
}

/** What those hear who had to do with a request whose connection is gone. */
export function clientGone(reason: CloseReason): TransportError {
  const code = reason.type === "reset" ? reason.code : "closed";
  return new TransportError(code, "the connection was closed before the response was complete");
}
