// A message of a topic: what was published, when and by whom, and its forms, each made once for all members.

import { Buffer } from "node:buffer";
import { encodeEvent, type ServerSentEvent } from "../../sse/event.ts";
import { type PreparedFrame, prepareFrame } from "../websocket/prepared-frame.ts";
import type { Position } from "./position.ts";

/** What can be published. */
export type Content = string | Uint8Array | ServerSentEvent;

/** A message as {@link TopicsOptions.frame} sees it. */
export interface TopicMessage {
  /** Where it was published. */
  readonly topic: string;
  /** What was published; of an event its data. */
  readonly data: string | Uint8Array;
  /**
   * Where a member stands that has had it: what `join` takes as `after`, and event streams as the event's id. Undefined
   * without `replay`.
   */
  readonly id: string | undefined;
}

/** What WebSockets are sent for a message. */
export type FrameMaker = (message: TopicMessage) => string | Uint8Array;

/** One message, as all members of this process are handed it. */
export class Message implements TopicMessage {
  readonly topic: string;
  /** Who published it, and when by that publisher's clock. */
  readonly origin: string;
  readonly time: number;
  readonly content: Content;
  /** Octets, about: what it counts for in the log. */
  readonly size: number;
  readonly #frameOf: FrameMaker | undefined;
  /** How far this process had heard with it; undefined without a log. */
  readonly #position: Position | undefined;
  #id: string | undefined;
  #frame: PreparedFrame | undefined;
  #event: Buffer | undefined;
  #chunk: Buffer | undefined;

  constructor(
    stamp: { readonly topic: string; readonly origin: string; readonly time: number },
    content: Content,
    position: Position | undefined,
    frameOf: FrameMaker | undefined,
  ) {
    this.topic = stamp.topic;
    this.origin = stamp.origin;
    this.time = stamp.time;
    this.content = content;
    this.size = sizeOf(content);
    this.#position = position;
    this.#frameOf = frameOf;
  }

  get data(): string | Uint8Array {
    const { content } = this;
    return typeof content === "string" || content instanceof Uint8Array ? content : content.data;
  }

  get id(): string | undefined {
    this.#id ??= this.#position?.toString();
    return this.#id;
  }

  /** For a WebSocket. */
  get frame(): PreparedFrame {
    this.#frame ??= prepareFrame(this.#frameOf === undefined ? this.data : this.#frameOf(this));
    return this.#frame;
  }

  /** For an event stream, which takes text only: bytes go as base64. */
  get event(): Buffer {
    if (this.#event === undefined) {
      const { content, data, id } = this;
      const text = typeof data === "string" ? data : bufferOf(data).toString("base64");
      const { name, retry } = isEvent(content) ? content : { name: undefined, retry: undefined };
      this.#event = Buffer.from(encodeEvent({ data: text, id, name, retry }));
    }
    return this.#event;
  }

  /** For a chunked response. */
  get chunk(): Buffer {
    const { data } = this;
    this.#chunk ??= typeof data === "string" ? Buffer.from(data) : bufferOf(data);
    return this.#chunk;
  }

  /**
   * The message for a member that has heard `seen` as well: the same, unless its id would take some of that back, and
   * the member be sent it a second time.
   */
  behind(seen: Position): Message {
    const position = this.#position;
    if (position === undefined || position.includes(seen)) return this;
    return new Message(this, this.content, position.with(seen), this.#frameOf);
  }
}

export function isEvent(content: Content): content is ServerSentEvent {
  return typeof content === "object" && !(content instanceof Uint8Array);
}

/** Octets of the content in UTF-8. */
export function sizeOf(content: Content): number {
  if (typeof content === "string") return Buffer.byteLength(content);
  if (content instanceof Uint8Array) return content.length;
  return Buffer.byteLength(content.data) + Buffer.byteLength(content.name ?? "");
}

function bufferOf(data: Uint8Array): Buffer {
  return data instanceof Buffer ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
