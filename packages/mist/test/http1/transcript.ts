// A whole conversation with the core as plain values: what a peer's bytes come to, however they were cut.

import { ProtocolError } from "../../src/errors.ts";
import { Http1Connection } from "../../src/http1/connection.ts";
import { defaultHttp1Limits, type Http1Limits } from "../../src/http1/limits.ts";
import type { RequestHead } from "../../src/http1/request-head.ts";
import { answerEmpty } from "./conversation.ts";

export interface Request {
  method: string;
  target: string;
  form: string;
  version: string;
  host: string;
  port: number | undefined;
  path: string;
  query: string | undefined;
  fields: readonly (readonly [string, string])[];
  keepAlive: boolean;
  framing: unknown;
  expectContinue: boolean;
  upgrade: boolean;
  body: string;
  /** `undefined` while the body is not complete. */
  trailers: readonly (readonly [string, string])[] | undefined;
}

export interface Transcript {
  requests: Request[];
  /** How it ended: waiting for bytes, closed, or a fault with its status. */
  end: "need-data" | "closed" | number;
  incomplete: boolean;
}

export interface Options {
  limits?: Partial<Http1Limits>;
  /** The peer's FIN follows the bytes. */
  fin?: boolean;
  /** Asked after every packet, with the bytes retained. */
  onPacket?: (connection: Http1Connection) => void;
}

/** Feed packets, answer every complete request with an empty 200, and write down what happened. */
export function transcript(packets: Iterable<string | Buffer>, options: Options = {}): Transcript {
  const connection = new Http1Connection({ ...defaultHttp1Limits, ...options.limits });
  const result: Transcript = { requests: [], end: "need-data", incomplete: false };
  try {
    for (const packet of packets) {
      connection.receive(bytes(packet));
      result.end = drain(connection, result.requests);
      options.onPacket?.(connection);
    }
    if (options.fin === true) {
      connection.receiveEnd();
      result.end = drain(connection, result.requests);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (connection.next().type !== "closed") throw new Error("something was parsed behind a fault");
    result.end = error.status ?? 0;
    result.incomplete = error.incomplete;
  }
  return result;
}

function drain(connection: Http1Connection, requests: Request[]): "need-data" | "closed" {
  for (;;) {
    const event = connection.next();
    switch (event.type) {
      case "need-data":
      case "closed":
        return event.type;
      case "request":
        requests.push(describe(event));
        if (event.framing === "none") answerEmpty(connection);
        break;
      case "data":
        if (event.data.length === 0) throw new Error("an empty piece of body");
        (requests.at(-1) as Request).body += event.data.toString("latin1");
        break;
      case "end":
        (requests.at(-1) as Request).trailers = event.trailers;
        answerEmpty(connection);
    }
  }
}

function describe(head: RequestHead): Request {
  return {
    method: head.method,
    target: head.target,
    form: head.form,
    version: head.version,
    host: head.host,
    port: head.port,
    path: head.path,
    query: head.query,
    fields: head.fields,
    keepAlive: head.keepAlive,
    framing: head.framing,
    expectContinue: head.expectContinue,
    upgrade: head.upgrade,
    body: "",
    trailers: head.framing === "none" ? [] : undefined,
  };
}

export function bytes(packet: string | Buffer): Buffer {
  return typeof packet === "string" ? Buffer.from(packet, "latin1") : Buffer.from(packet);
}

/** One packet per byte. */
export function byteByByte(text: string | Buffer): Buffer[] {
  const whole = bytes(text);
  return Array.from(whole, (byte) => Buffer.from([byte]));
}

/**
 * The three ways every case is fed: whole, byte by byte, and with bytes behind it. All must come to
 * the same; the bytes behind are a request of their own, which a fault must keep from being parsed.
 */
export function everyWay(text: string, options: Options = {}): Transcript {
  const whole = transcript([text], options);
  same(transcript(byteByByte(text), options), whole, "byte by byte");
  const behind = "GET /behind HTTP/1.1\r\nHost: behind\r\n\r\n";
  const trailing = transcript([text + behind], { ...options, fin: false });
  if (typeof whole.end === "number" && !whole.incomplete) same(trailing, whole, "with bytes behind");
  else if (whole.end === "need-data" && whole.requests.at(-1)?.trailers !== undefined) {
    const last = trailing.requests.pop();
    if (last?.path !== "/behind") throw new Error("the request behind was not read");
    same(trailing, whole, "with a request behind");
  }
  return whole;
}

function same(actual: Transcript, expected: Transcript, how: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`fed ${how} it came to\n${a}\ninstead of\n${b}`);
}

/** The only request of a conversation that must hold exactly one, complete. */
export function only(text: string, options: Options = {}): Request {
  const { requests, end } = everyWay(text, options);
  if (requests.length !== 1 || requests[0]?.trailers === undefined) {
    throw new Error(`${requests.length} requests, then ${end}`);
  }
  return requests[0];
}

/** The status a faulty conversation ends with. */
export function fault(text: string, options: Options = {}): number | string {
  return everyWay(text, options).end;
}
