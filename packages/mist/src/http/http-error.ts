// The error that a handler throws to answer with a status of its own.

import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import { type Fields, type FieldsOption, fieldLines } from "./fields.ts";

/** Options of {@link HttpError}. */
export interface HttpErrorOptions {
  /** What went wrong. Sent to the client as the body if the status is below 500. */
  readonly message?: string | undefined;
  /** Further fields of the response, such as `retry-after`. */
  readonly headers?: FieldsOption | undefined;
  /** The error behind this one. Not sent. */
  readonly cause?: unknown;
}

/**
 * A failure with a status of its own: thrown by a handler, it is the response. Below 500 nobody is told but the client;
 * from 500 on, `onError` hears of it.
 *
 * @example `throw new mist.HttpError(404, { message: "no such book" })`
 */
export class HttpError extends Error {
  override readonly name: string = "HttpError";
  /** 400 to 599. */
  readonly status: number;
  /** Fields of the response, names in lower case. */
  readonly headers: Fields;

  /** @throws UsageError for a status outside of 400 to 599, an unknown option, or a malformed field. */
  constructor(status: number, options: HttpErrorOptions = {}) {
    checkNames("HttpError", options, ["message", "headers", "cause"]);
    const { message = "", headers = [], cause } = options;
    super(message, cause === undefined ? undefined : { cause });
    if (!Number.isInteger(status) || status < 400 || status > 599)
      throw new UsageError(`the status of an error must be an integer from 400 to 599, got ${shown(status)}`);
    this.status = status;
    this.headers = fieldLines(headers);
  }
}
