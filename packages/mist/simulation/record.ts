// What is known about one request: what the client saw, and what the handler did.

import type { Buffer } from "node:buffer";
import type { RequestStep } from "./scenario.ts";

/** One request. Instants are milliseconds since the run began. */
export class RequestRecord {
  readonly key: string;
  readonly step: RequestStep;
  // The client's side.
  /** When its first and its last byte were given to the server. */
  begunAt: number | undefined = undefined;
  deliveredAt: number | undefined = undefined;
  /** Where it ends in what the client has sent. */
  endsAtByte = 0;
  /** How much of its content was given to the server so far. */
  contentDelivered: () => number = () => 0;
  /** The client cannot send the rest. */
  cut = false;
  status: number | undefined = undefined;
  informational: number[] = [];
  received = 0;
  /** What its client has let the server send before it takes any of it, over HTTP/2. */
  window = 0;
  outcome: "none" | "begun" | "whole" | "broken" = "none";
  wholeAt: number | undefined = undefined;
  headAt: number | undefined = undefined;
  announcedClose = false;
  // The handler's side.
  calls = 0;
  calledAt: number | undefined = undefined;
  returnedAt: number | undefined = undefined;
  read = 0;
  readEnded = false;
  readEndedAt: number = Number.POSITIVE_INFINITY;
  readError: unknown = undefined;
  /** What the handler, or its producer, failed with on purpose. */
  readonly failures: unknown[] = [];
  abortedAt: number | undefined = undefined;
  /** What the handler, or its producer, waits for. */
  waits: "nothing" | "time" | "content" | "ever" | "client" = "nothing";
  /** Since when. */
  waitsSince = 0;
  produced = 0;
  /** Promises given to `waitUntil` that are open. */
  background = 0;
  opened = 0;
  closed = 0;
  discarded = 0;
  producerDone = false;
  /** The text of the answer, once made. */
  text: Buffer | undefined = undefined;
  requestEnds = 0;
  requestStarts = 0;
  completeTold: boolean | undefined = undefined;

  constructor(key: string, step: RequestStep) {
    this.key = key;
    this.step = step;
  }

  /** The name of the request's and of the response's content. */
  get upName(): string {
    return `${this.key}>`;
  }

  get downName(): string {
    return `${this.key}<`;
  }
}

/** All requests of a run, by key. */
export class Records {
  readonly requests: Map<string, RequestRecord> = new Map();

  add(key: string, step: RequestStep): RequestRecord {
    const record = new RequestRecord(key, step);
    this.requests.set(key, record);
    return record;
  }
}
