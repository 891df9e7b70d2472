// A core in conversation: what was sent to it in, what it said and did out. The shell here answers a request when it
// is complete, as a server in front of h2spec does.

import { Buffer } from "node:buffer";
import { Http2Connection, type Http2Options } from "../../src/http2/connection.ts";
import type { Http2Event } from "../../src/http2/events.ts";
import type { Stream } from "../../src/http2/streams/stream.ts";
import { type Frame, FrameParser, TYPE } from "./frames.ts";

/** What a shell does with an event. */
export type Handler = (event: Http2Event, core: Http2Connection) => void;

export class Conversation {
  readonly core: Http2Connection;
  readonly events: Http2Event[] = [];
  readonly parser: FrameParser = new FrameParser();
  /** Frames since the last `take`. */
  readonly sent: Frame[] = [];
  readonly #handler: Handler;
  now = 0;

  constructor(handler: Handler = answerComplete, options: Http2Options = {}) {
    this.core = new Http2Connection(0, options);
    this.#handler = handler;
  }

  /** Feeds bytes, takes all events, writes all there is to write. */
  feed(bytes: Buffer): this {
    // A copy, exactly as long: the core may keep it, and must not see what is behind it.
    this.core.receive(Buffer.from(bytes), this.now);
    return this.turn();
  }

  turn(): this {
    for (;;) {
      this.#takeEvents();
      const { pieces, onSent } = this.core.output(1 << 24, this.now);
      for (const piece of pieces) this.parser.add(piece);
      this.sent.push(...this.parser.take());
      for (const done of onSent) done();
      if (pieces.length === 0 && onSent.length === 0) return this;
    }
  }

  #takeEvents(): void {
    for (;;) {
      const event = this.core.next();
      if (event.type === "need-data" || event.type === "closed") return;
      this.events.push(event);
      this.#handler(event, this.core);
    }
  }

  /** The frames sent since the last time. */
  take(): Frame[] {
    return this.sent.splice(0);
  }

  /** The stream of the first event of that type. */
  stream(id: number): Stream {
    for (const event of this.events) if ("stream" in event && event.stream.id === id) return event.stream;
    throw new Error(`no event of stream ${id}`);
  }
}

/** Answers 200 with what was sent, when all of it is there; refused requests with their status. */
export function answerComplete(event: Http2Event, core: Http2Connection): void {
  if (event.type === "refused") {
    core.sendHead(event.stream, { status: event.error.status as number, fields: [], length: 0 }, "");
    core.sendEnd(event.stream);
    core.stopReading(event.stream);
  } else if ((event.type === "request" && !event.head.hasBody) || event.type === "end") {
    const body = Buffer.from(`ok${readAll(event.stream, core)}`, "latin1");
    core.sendHead(event.stream, { status: 200, fields: [], length: body.length }, "");
    core.sendData(event.stream, body);
    core.sendEnd(event.stream);
  }
}

export function readAll(stream: Stream, core: Http2Connection): string {
  let body = "";
  for (let piece = core.read(stream); piece; piece = core.read(stream)) body += piece.toString("latin1");
  return body;
}

/** What came of it, without what depends on how the bytes were cut up. */
export interface Outcome {
  readonly goaway: number | undefined;
  /** Of a stream: its code. */
  readonly resets: Readonly<Record<number, number>>;
  /** Of a stream: its status and body. */
  readonly answers: Readonly<Record<number, string>>;
  readonly pongs: number;
  readonly settingsAcks: number;
}

export function outcome({ sent, parser }: Conversation): Outcome {
  const resets: Record<number, number> = {};
  const answers: Record<number, string> = {};
  let goaway: number | undefined;
  let pongs = 0;
  let settingsAcks = 0;
  for (const { type, flags, id, payload } of sent) {
    if (type === TYPE.GOAWAY) goaway = payload.readUInt32BE(4);
    else if (type === TYPE.RST_STREAM) resets[id] = payload.readUInt32BE(0);
    else if (type === TYPE.PING && flags === 1) pongs++;
    else if (type === TYPE.SETTINGS && flags === 1) settingsAcks++;
    else if (type === TYPE.HEADERS) {
      answers[id] = new Map(parser.fields(payload)).get(":status") ?? "trailers";
    } else if (type === TYPE.DATA) {
      // However many frames it takes.
      answers[id] += `${answers[id]?.length === 3 ? " " : ""}${payload.toString("latin1")}`;
    }
  }
  return { goaway, resets, answers, pongs, settingsAcks };
}
