// Echoed bytes: what comes back must be what was sent, in its order.

export class EchoReader {
  #pattern;
  #size;
  #received = 0;

  constructor({ pattern, size }) {
    this.#pattern = pattern;
    this.#size = size;
  }

  /** How many messages these bytes complete. */
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
