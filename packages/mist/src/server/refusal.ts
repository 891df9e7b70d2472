// The response to a connection over the limit, as bytes: it is sent before anything is read, and the connection closes.

import { Buffer } from "node:buffer";
import { shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import { type BytesBody, type EmptyBody, Response } from "../http/response.ts";
import { ResponseHeadEncoder } from "../http1/response-head.ts";

/**
 * The whole response. It has no `date`, which only those of the server's own failures may lack (RFC 9110 §6.6.1).
 *
 * @throws UsageError unless it is a response with a status from 500 to 599 whose body is there as a whole.
 */
export function refusalBytes(refusal: Response<EmptyBody | BytesBody>): Buffer {
  if (!(refusal instanceof Response))
    throw new UsageError(`refusal must be a response, got ${shown(refusal)}`);
  const { status, headers, body } = refusal;
  if (status < 500) throw new UsageError(`the status of a refusal must be from 500 to 599, got ${status}`);
  if (body.kind !== "empty" && body.kind !== "bytes") {
    throw new UsageError("the body of a refusal must be empty, text or bytes");
  }
  const content = body.kind === "empty" ? Buffer.alloc(0) : Buffer.from(body.data as string);
  const parts = { status, fields: headers, close: true, date: "" };
  const context = { http10: false, head: false, mayPersist: false };
  const head = new ResponseHeadEncoder().encode(parts, content.length, context);
  return Buffer.concat([Buffer.from(head, "latin1"), content]);
}
