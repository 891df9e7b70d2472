// The load's side of an HTTP/2 connection: it numbers requests, sends content as the windows allow, gives the server
// all the room there is, and checks each response: status 200 and the expected body, byte for byte.

/** @import { Expected } from "./answer-reader.mjs" */

import {
  fieldIndices as fields,
  flags,
  frame,
  headerBlocks,
  headerLength,
  preface,
  types,
  uint32,
} from "../http2-frames.mjs";

/** As h2load has it: no response ever waits for a window. */
const window = 2 ** 30 - 1;
const defaultWindow = 65_535;
const maxFrame = 16_384;
const initialWindowSize = 4;
const nothing = Buffer.alloc(0);
const opening = Buffer.concat([
  preface,
  frame(types.settings, 0, 0, Buffer.concat([Buffer.from([0, initialWindowSize]), uint32(window)])),
  frame(types.windowUpdate, 0, 0, uint32(window - defaultWindow)),
]);

/**
 * Status 200 as a block may begin with it: indexed, or literal, with the Huffman code or without; before it, changes of
 * the table's size (RFC 7541 §6). No more of a head is looked at.
 */
const statusOk = /^[\x20-\x3f]*(\x88|[\x08\x48](\x03200|\x82\x10\x01))/;

/**
 * A request, and the body of its response. With `held` its content is announced and never sent, so that the stream
 * stays open.
 *
 * @typedef {{ path: string, body?: Buffer, held?: boolean, tls: boolean, expected: Expected, length: number }} Exchange
 */

/** @param {Exchange} exchange */
function requestBlocks({ path, body, tls }) {
  /** @type {[number, string][]} */
  const added = [
    [fields.path, path],
    [fields.authority, "localhost"],
    [fields.userAgent, "bench/1.0"],
    [fields.accept, "*/*"],
  ];
  if (body !== undefined) {
    added.push([fields.contentType, "text/plain"]);
    added.push([fields.contentLength, String(body.length)]);
  }
  const method = body === undefined ? fields.get : fields.post;
  return headerBlocks([method, tls ? fields.https : fields.http], added);
}

/** A connection: `batch` gives what to send, `push` takes what comes. */
export class Http2Talker {
  #exchange;
  #inFlight;
  #write;
  #blocks;
  #nextId = 1;
  /** @type {Buffer[]} */
  #out = [opening];
  #rest = nothing;
  #finished = 0;
  /** @type {Map<number, number>} */
  #received = new Map();
  /** Content that waits for the windows. */
  /** @type {{ id: number, at: number, window: number }[]} */
  #sending = [];
  #window = defaultWindow;
  #streamWindow = defaultWindow;
  #consumed = 0;
  // The DATA frame in work: what is left of it.
  #left = 0;
  #id = 0;
  #ends = false;

  /**
   * @param {Exchange} exchange
   * @param {number} inFlight
   * @param {(bytes: Buffer) => void} write
   */
  constructor(exchange, inFlight, write) {
    this.#exchange = exchange;
    this.#inFlight = inFlight;
    this.#write = write;
    this.#blocks = requestBlocks(exchange);
  }

  batch() {
    if (this.#exchange.held) this.#hold();
    else for (let i = 0; i < this.#inFlight; i++) this.#request();
    this.#send();
    return this.#takeOut();
  }

  /** Opens its streams once. The answer to a PING says that the server has seen them. */
  #hold() {
    while (this.#nextId < this.#inFlight * 2) this.#request();
    this.#sending = [];
    this.#out.push(frame(types.ping, 0, 0, Buffer.alloc(8)));
  }

  #request() {
    const id = this.#nextId;
    this.#nextId += 2;
    const block = id === 1 ? this.#blocks.first : this.#blocks.later;
    const { body } = this.#exchange;
    const end = body === undefined ? flags.endStream : 0;
    this.#out.push(frame(types.headers, flags.endHeaders | end, id, block));
    this.#received.set(id, -1);
    if (body !== undefined) this.#sending.push({ id, at: 0, window: this.#streamWindow });
  }

  /** What the windows allow of the content. */
  #send() {
    const { body = nothing } = this.#exchange;
    for (const one of this.#sending) {
      while (one.at < body.length) {
        const size = Math.min(body.length - one.at, one.window, this.#window, maxFrame);
        if (size <= 0) break;
        const end = one.at + size === body.length ? flags.endStream : 0;
        this.#out.push(frame(types.data, end, one.id, body.subarray(one.at, one.at + size)));
        one.at += size;
        one.window -= size;
        this.#window -= size;
      }
    }
    this.#sending = this.#sending.filter(({ at }) => at < body.length);
  }

  #takeOut() {
    const bytes = this.#out.length === 0 ? nothing : Buffer.concat(this.#out);
    this.#out = [];
    return bytes;
  }

  /**
   * Returns how many responses these bytes complete. They are not kept.
   *
   * @param {Buffer} bytes
   */
  push(bytes) {
    this.#finished = 0;
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (;;) {
      if (this.#left > 0) {
        const to = Math.min(all.length, at + this.#left);
        this.#content(all, at, to);
        at = to;
        if (this.#left > 0) break;
      }
      const next = this.#frame(all, at);
      if (next === at) break;
      at = next;
    }
    this.#rest = at === all.length ? nothing : Buffer.from(all.subarray(at));
    this.#send();
    const out = this.#takeOut();
    if (out.length > 0) this.#write(out);
    return this.#finished;
  }

  /**
   * Takes the frame at `at`, of DATA only the header; returns where it ends, or `at` if it is incomplete.
   *
   * @param {Buffer} bytes
   * @param {number} at
   */
  #frame(bytes, at) {
    if (bytes.length - at < headerLength) return at;
    const length = bytes.readUIntBE(at, 3);
    const type = /** @type {number} */ (bytes[at + 3]);
    const flag = /** @type {number} */ (bytes[at + 4]);
    const id = bytes.readUInt32BE(at + 5);
    const start = at + headerLength;
    if (type === types.data) {
      if ((flag & flags.padded) !== 0) throw new Error("DATA is padded");
      this.#startContent(id, length, (flag & flags.endStream) !== 0);
      return start;
    }
    if (bytes.length - start < length) return at;
    const payload = bytes.subarray(start, start + length);
    if (type === types.headers) this.#head(id, payload, (flag & flags.endStream) !== 0);
    else this.#control(type, flag, id, payload);
    return start + length;
  }

  /**
   * @param {number} type
   * @param {number} flag
   * @param {number} id
   * @param {Buffer} payload
   */
  #control(type, flag, id, payload) {
    const isAck = (flag & flags.ack) !== 0;
    if (type === types.windowUpdate) {
      const increment = payload.readUInt32BE();
      if (id === 0) this.#window += increment;
      else for (const one of this.#sending) if (one.id === id) one.window += increment;
    } else if (type === types.settings && !isAck) {
      this.#settings(payload);
      this.#out.push(frame(types.settings, flags.ack, 0));
    } else if (type === types.ping && isAck) this.#finished += this.#inFlight;
    else if (type === types.ping) this.#out.push(frame(types.ping, flags.ack, 0, payload));
    else if (type === types.reset || type === types.goaway)
      throw new Error(`stream ${id} ended with frame ${type}: ${payload.toString("hex")}`);
  }

  /** @param {Buffer} payload */
  #settings(payload) {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== initialWindowSize) continue;
      const size = payload.readUInt32BE(at + 2);
      for (const one of this.#sending) one.window += size - this.#streamWindow;
      this.#streamWindow = size;
    }
  }

  /**
   * @param {number} id
   * @param {Buffer} block
   * @param {boolean} ends
   */
  #head(id, block, ends) {
    if (!statusOk.test(block.toString("latin1", 0, 16)))
      throw new Error(`unexpected response: ${block.toString("hex")}`);
    if (this.#received.get(id) !== -1) throw new Error(`an unexpected head on stream ${id}`);
    this.#received.set(id, 0);
    if (ends) this.#end(id);
  }

  /**
   * @param {number} id
   * @param {number} length
   * @param {boolean} ends
   */
  #startContent(id, length, ends) {
    if ((this.#received.get(id) ?? -1) < 0) throw new Error(`unexpected DATA on stream ${id}`);
    this.#id = id;
    this.#left = length;
    this.#ends = ends;
    this.#consumed += length;
    if (this.#consumed > window / 2) {
      this.#out.push(frame(types.windowUpdate, 0, 0, uint32(this.#consumed)));
      this.#consumed = 0;
    }
    if (length === 0 && ends) this.#end(id);
  }

  /**
   * @param {Buffer} bytes
   * @param {number} from
   * @param {number} to
   */
  #content(bytes, from, to) {
    const received = this.#received.get(this.#id) ?? 0;
    if (!this.#exchange.expected.matches(bytes, from, to, received))
      throw new Error("the body has wrong bytes");
    this.#received.set(this.#id, received + to - from);
    this.#left -= to - from;
    if (this.#left === 0 && this.#ends) this.#end(this.#id);
  }

  /** @param {number} id */
  #end(id) {
    const received = this.#received.get(id);
    const { length } = this.#exchange;
    if (received !== length) throw new Error(`expected ${length} bytes, got ${received}`);
    this.#received.delete(id);
    this.#finished += 1;
  }
}
