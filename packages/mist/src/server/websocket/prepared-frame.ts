// A message encoded once and sent to many.

import { Buffer } from "node:buffer";
import { shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { BINARY, encodeFrame, FIN, RSV1, TEXT } from "../../websocket/frame.ts";
import type { PermessageDeflate } from "./permessage-deflate.ts";

/** A message as it goes over the wire. Made by {@link prepareFrame}; the data must not be changed afterwards. */
export class PreparedFrame {
  readonly #data: string | Uint8Array;
  readonly #plain: Buffer;
  /** The compressed frame for each kind of agreement that keeps no context. */
  #compressed: Map<string, Buffer> | undefined;

  /** @internal */
  constructor(data: string | Uint8Array) {
    this.#data = data;
    const text = typeof data === "string";
    this.#plain = encodeFrame(FIN | (text ? TEXT : BINARY), text ? Buffer.from(data, "utf8") : data);
  }

  /** Octets of the uncompressed frame, header included. */
  get size(): number {
    return this.#plain.length;
  }

  /**
   * The frame for a connection. It is compressed, once for all, where the server keeps no window on that connection;
   * a window of its own would be spoilt by what others were sent.
   *
   * @internal
   */
  bytesFor(deflate: PermessageDeflate | undefined, threshold: number): Buffer {
    if (deflate === undefined || !deflate.shareable || this.#data.length < Math.max(1, threshold))
      return this.#plain;
    let frame = this.#compressed?.get(deflate.kind);
    if (frame === undefined) {
      frame = this.#compress(deflate);
      this.#compressed ??= new Map();
      this.#compressed.set(deflate.kind, frame);
    }
    return frame;
  }

  #compress(deflate: PermessageDeflate): Buffer {
    const data = typeof this.#data === "string" ? Buffer.from(this.#data, "utf8") : this.#data;
    const deflated = deflate.deflateShared(data);
    if (deflated.length >= data.length) return this.#plain;
    return encodeFrame(FIN | RSV1 | (typeof this.#data === "string" ? TEXT : BINARY), deflated);
  }
}

/**
 * Encodes a message once, to be sent to any number of clients with `sendPrepared`.
 *
 * @throws UsageError unless `data` is text or bytes.
 */
export function prepareFrame(data: string | Uint8Array): PreparedFrame {
  if (typeof data !== "string" && !(data instanceof Uint8Array)) {
    throw new UsageError(`a message must be text or bytes, got ${shown(data)}`);
  }
  return new PreparedFrame(data);
}
