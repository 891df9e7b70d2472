// Checks HTTP responses: status 200 and the expected body, byte for byte. A response that equals the previous one is
// compared as a whole, which keeps the load cheaper than any server.

const headEnd = Buffer.from("\r\n\r\n");

/** Compares bytes with an endless repetition of `pattern`. All connections share one, because it is large. */
export class Expected {
  #repeated;
  #period;

  /** @param {Buffer} pattern */
  constructor(pattern) {
    this.#period = pattern.length;
    const times = Math.max(2, Math.ceil(131_072 / pattern.length) + 1);
    this.#repeated = Buffer.concat(Array.from({ length: times }, () => pattern));
  }

  /**
   * Whether `bytes` from `from` to `to` are what the repetition has at `offset`.
   *
   * @param {Buffer} bytes
   * @param {number} from
   * @param {number} to
   * @param {number} offset
   */
  matches(bytes, from, to, offset) {
    for (let at = from; at < to; ) {
      const start = (offset + at - from) % this.#period;
      const length = Math.min(to - at, this.#repeated.length - start);
      if (bytes.compare(this.#repeated, start, start + length, at, at + length) !== 0) return false;
      at += length;
    }
    return true;
  }
}

/** @typedef {"head" | "length" | "size" | "chunk" | "chunk-end" | "last" | "done"} State */

export class AnswerReader {
  #expected;
  #length;
  #together;
  /** @type {Buffer} */
  #known = Buffer.alloc(0);
  #knownLength = 0;
  /** @type {Buffer} */
  #rest = Buffer.alloc(0);
  /** @type {State} */
  #state = "head";
  #received = 0;
  #left = 0;
  #finished = 0;

  /** @param {{ expected: Expected, length: number, together: number }} wanted the body, and how many responses arrive at once */
  constructor({ expected, length, together }) {
    this.#expected = expected;
    this.#length = length;
    this.#together = together;
  }

  /**
   * Returns how many responses these bytes complete. The reader does not keep the bytes.
   *
   * @param {Buffer} bytes
   */
  push(bytes) {
    if (this.#state === "head" && this.#rest.length === 0 && this.#isKnown(bytes))
      return bytes.length / this.#knownLength;
    this.#finished = 0;
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    let start = 0;
    for (;;) {
      const next = this.#step(all, at);
      if (next < 0) break;
      if (this.#state === "done") {
        if (next - start === all.length / Math.max(1, this.#finished)) this.#learn(all.subarray(start, next));
        this.#state = "head";
        start = next;
      }
      at = next;
      if (at === all.length) break;
    }
    this.#rest = at < all.length ? Buffer.from(all.subarray(at)) : Buffer.alloc(0);
    return this.#finished;
  }

  /** @param {Buffer} bytes */
  #isKnown(bytes) {
    const length = this.#knownLength;
    if (length === 0 || bytes.length % length !== 0 || bytes.length > this.#known.length) return false;
    return bytes.compare(this.#known, 0, bytes.length) === 0;
  }

  /** @param {Buffer} answer */
  #learn(answer) {
    if (answer.length > 4096) return;
    this.#knownLength = answer.length;
    this.#known = Buffer.concat(Array.from({ length: this.#together }, () => answer));
  }

  /**
   * Reads the next part; returns where it ends, or -1 if it is incomplete.
   *
   * @param {Buffer} bytes
   * @param {number} at
   */
  #step(bytes, at) {
    switch (this.#state) {
      case "head":
        return this.#head(bytes, at);
      case "length":
        return this.#body(bytes, at, "done");
      case "chunk":
        return this.#body(bytes, at, "chunk-end");
      case "size":
        return this.#size(bytes, at);
      default:
        return this.#chunkEnd(bytes, at);
    }
  }

  /**
   * @param {Buffer} bytes
   * @param {number} at
   */
  #head(bytes, at) {
    const end = bytes.indexOf(headEnd, at);
    if (end < 0) return -1;
    const head = bytes.toString("latin1", at, end).toLowerCase();
    if (!head.startsWith("http/1.1 200 ")) throw new Error(`unexpected response: ${head}`);
    this.#received = 0;
    const length = head.match(/\r\ncontent-length: *(\d+)/);
    if (length !== null) {
      this.#left = Number(length[1]);
      if (this.#left !== this.#length) throw new Error(`expected ${this.#length} bytes, got ${this.#left}`);
      this.#state = "length";
    } else if (/\r\ntransfer-encoding: *chunked/.test(head)) this.#state = "size";
    else throw new Error(`a response without a length: ${head}`);
    return end + 4;
  }

  /**
   * @param {Buffer} bytes
   * @param {number} at
   * @param {State} then
   */
  #body(bytes, at, then) {
    const to = Math.min(bytes.length, at + this.#left);
    if (!this.#expected.matches(bytes, at, to, this.#received)) throw new Error("the body has wrong bytes");
    this.#received += to - at;
    this.#left -= to - at;
    if (this.#left === 0) this.#arrive(then);
    return to;
  }

  /** @param {State} state */
  #arrive(state) {
    this.#state = state;
    if (state === "done") this.#finished += 1;
  }

  /**
   * @param {Buffer} bytes
   * @param {number} at
   */
  #size(bytes, at) {
    const end = bytes.indexOf("\r\n", at, "latin1");
    if (end < 0) return -1;
    this.#left = Number.parseInt(bytes.toString("latin1", at, end), 16);
    if (!(this.#left >= 0)) throw new Error("expected a chunk size");
    this.#state = this.#left === 0 ? "last" : "chunk";
    return end + 2;
  }

  /**
   * @param {Buffer} bytes
   * @param {number} at
   */
  #chunkEnd(bytes, at) {
    if (bytes.length - at < 2) return -1;
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) throw new Error("expected the end of a chunk");
    if (this.#state === "last") {
      if (this.#received !== this.#length)
        throw new Error(`expected ${this.#length} bytes, got ${this.#received}`);
      this.#arrive("done");
    } else this.#state = "size";
    return at + 2;
  }
}
