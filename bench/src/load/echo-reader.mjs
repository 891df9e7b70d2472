// Checks echoed bytes: what comes back must be what was sent, in the same order.

export class EchoReader {
  #pattern;
  #size;
  #received = 0;

  /** @param {{ pattern: Buffer, size: number }} sent what is sent over and over, and the bytes of one message */
  constructor({ pattern, size }) {
    this.#pattern = pattern;
    this.#size = size;
  }

  /**
   * Returns how many messages these bytes complete.
   *
   * @param {Buffer} bytes
   */
  push(bytes) {
    const before = this.#received;
    for (let at = 0; at < bytes.length; ) {
      const from = (before + at) % this.#pattern.length;
      const length = Math.min(bytes.length - at, this.#pattern.length - from);
      if (bytes.compare(this.#pattern, from, from + length, at, at + length) !== 0)
        throw new Error("wrong bytes came back");
      at += length;
    }
    this.#received = before + bytes.length;
    return Math.floor(this.#received / this.#size) - Math.floor(before / this.#size);
  }
}
