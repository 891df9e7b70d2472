// What was read while the protocol's promise is open: the chunks and the peer's FIN, in order.
//
// A connection gets one with the first promise its protocol returns. A protocol that answers synchronously costs
// neither this object nor a microtask.

/** The connection, as its read-ahead sees it. */
export interface Reader {
  /** Whether chunks may be handed to the protocol now. */
  readonly takesChunks: boolean;
  /** Hands a chunk to the protocol. */
  deliver(chunk: Buffer): void;
  /** Leaves the socket unread until {@link Reader.caughtUp}. */
  readAheadFull(): void;
  /** The protocol waits for bytes again. */
  caughtUp(): void;
  /** Hands the peer's FIN to the protocol. */
  receiveEnd(): void;
  fail(during: string, error: unknown): void;
}

/** How much is read ahead before the socket is left unread. */
export interface ReadAheadLimits {
  readonly readAheadChunks: number;
  readonly readAheadBytes: number;
}

const atOnce: Promise<void> = Promise.resolve();

/** The queue between a socket and a protocol that is busy. */
export class Inbound {
  readonly #reader: Reader;
  readonly #limits: ReadAheadLimits;
  readonly #chunks: Buffer[] = [];
  readonly #settled: () => void;
  readonly #rejected: (error: unknown) => void;
  #bytes = 0;
  #busy = false;
  #ended = false;

  constructor(reader: Reader, limits: ReadAheadLimits) {
    this.#reader = reader;
    this.#limits = limits;
    this.#settled = () => this.#goOn();
    this.#rejected = (error) => reader.fail("data", error);
  }

  /** Keeps a chunk if the protocol is busy. False: it can be delivered now. */
  keep(chunk: Buffer): boolean {
    if (!this.#busy) return false;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const { readAheadChunks, readAheadBytes } = this.#limits;
    if (this.#chunks.length >= readAheadChunks || this.#bytes >= readAheadBytes) this.#reader.readAheadFull();
    return true;
  }

  /** Keeps the peer's FIN if something comes before it. False: it can be delivered now. */
  keepEnd(): boolean {
    this.#ended = this.#busy || this.#chunks.length > 0;
    return this.#ended;
  }

  /** The protocol is busy until the promise settles. */
  wait(pending: Promise<void>): void {
    this.#busy = true;
    Promise.resolve(pending).then(this.#settled, this.#rejected);
  }

  /** Delivers what was kept while chunks could not be delivered, before anything newer. */
  resume(): void {
    if (!this.#busy && this.#chunks.length > 0) this.wait(atOnce);
  }

  #goOn(): void {
    const reader = this.#reader;
    this.#busy = false;
    while (this.#chunks.length > 0) {
      if (!reader.takesChunks) return;
      const chunk = this.#chunks.shift()!;
      this.#bytes -= chunk.length;
      reader.deliver(chunk);
      if (this.#busy) return;
    }
    reader.caughtUp();
    if (this.#ended) reader.receiveEnd();
  }
}
