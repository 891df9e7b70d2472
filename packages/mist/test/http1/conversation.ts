// A connection with a request on it, ready to be answered.

import { Http1Connection } from "../../src/http1/connection.ts";
import type { RequestHead } from "../../src/http1/request-head.ts";
import { bytes } from "./transcript.ts";

/** A connection that has read the head of `text` (the first request of it). */
export function asked(text: string): Http1Connection {
  const connection = new Http1Connection();
  connection.receive(bytes(text));
  if (connection.next().type !== "request") throw new Error("no request");
  return connection;
}

/** As `asked`, and the head too. */
export function askedHead(text: string): [Http1Connection, RequestHead] {
  const connection = new Http1Connection();
  connection.receive(bytes(text));
  const head = connection.next();
  if (head.type !== "request") throw new Error("no request");
  return [connection, head];
}

export const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
export const HEAD = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
export const GET_10 = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
export const GET_10_KEEP = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";

/** What was written, as one latin-1 text. */
export function text(pieces: readonly (string | Uint8Array)[]): string {
  return pieces
    .map((piece) =>
      typeof piece === "string"
        ? Buffer.from(piece).toString("latin1")
        : Buffer.from(piece).toString("latin1"),
    )
    .join("");
}
