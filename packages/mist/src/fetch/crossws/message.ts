// A message as crossws shows it: one value in whatever form it is asked for.
//
// crossws keeps its own class to itself; this one has the same members, which a test compares.

import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import type { Message } from "crossws";
import { toArrayBuffer } from "../socket-events.ts";
import type { CrosswsPeer } from "./peer.ts";

type Shape = { readonly [Name in keyof Message as Name extends symbol ? never : Name]: unknown };

export class CrosswsMessage implements Shape {
  readonly event: undefined = undefined;
  readonly peer: CrosswsPeer;
  /** A string, or a Uint8Array that is the receiver's to keep. */
  readonly rawData: string | Uint8Array;
  #id: string | undefined = undefined;

  constructor(rawData: string | Uint8Array, peer: CrosswsPeer) {
    this.rawData = rawData;
    this.peer = peer;
  }

  get id(): string {
    this.#id ??= randomUUID();
    return this.#id;
  }

  uint8Array(): Uint8Array {
    return typeof this.rawData === "string" ? new TextEncoder().encode(this.rawData) : this.rawData;
  }

  arrayBuffer(): ArrayBuffer {
    return toArrayBuffer(this.uint8Array());
  }

  blob(): Blob {
    return new Blob([this.arrayBuffer()]);
  }

  text(): string {
    return typeof this.rawData === "string" ? this.rawData : new TextDecoder().decode(this.rawData);
  }

  json<Value = unknown>(): Value {
    return JSON.parse(this.text());
  }

  /** In the form that `peer.websocket.binaryType` asks for; as it came by default. */
  get data(): unknown {
    switch (this.peer.websocket.binaryType as string | undefined) {
      case "arraybuffer":
        return this.arrayBuffer();
      case "blob":
        return this.blob();
      case "nodebuffer":
        return Buffer.from(this.arrayBuffer());
      case "uint8array":
        return this.uint8Array();
      case "text":
        return this.text();
      default:
        return this.rawData;
    }
  }

  toString(): string {
    return this.text();
  }

  [Symbol.toPrimitive](): string {
    return this.text();
  }
}
