// A connection with a request on it, ready to be answered.

import { type Fields, NO_FIELDS } from "../../src/http/fields.ts";
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

/** What was written, as one text of latin-1. */
export function text(pieces: readonly (string | Uint8Array)[]): string {
  return pieces
    .map((piece) => (typeof piece === "string" ? piece : Buffer.from(piece).toString("latin1")))
    .join("");
}

/** What a test says of a response head; the rest has defaults. */
export interface Head {
  status: number;
  fields: Fields;
  length: number | undefined;
  close?: boolean;
}

/** Sends a head, and gives it as text. */
export function sendHead(connection: Http1Connection, head: Head, date = ""): string {
  return text(connection.send({ type: "head", close: false, ...head, date }));
}

/** Sends content, or that many bytes of it, and gives what is written. */
export function sendData(connection: Http1Connection, content: string | Uint8Array | number): string {
  const data = typeof content === "number" ? Buffer.alloc(content, "x") : Buffer.from(content as string);
  return text(connection.send({ type: "content", data }));
}

/** Ends the content, and gives what is written for that. */
export function sendEnd(connection: Http1Connection, trailers: Fields = NO_FIELDS): string {
  return text(connection.send({ type: "end", trailers }));
}

/** Sends an interim response, and gives it as text. */
export function sendInformational(
  connection: Http1Connection,
  status: number,
  fields: Fields = NO_FIELDS,
): string {
  return text(connection.send({ type: "informational", status, fields }));
}

/** Accepts an upgrade. */
export function sendUpgrade(connection: Http1Connection, fields: Fields): string {
  return text(connection.send({ type: "upgrade", fields }));
}

/** Answers with an empty response. */
export function answerEmpty(connection: Http1Connection): void {
  connection.send({ type: "response", status: 200, fields: NO_FIELDS, body: "", close: false, date: "" });
}
