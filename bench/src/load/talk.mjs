// One connection of the load: it sends its batch, waits for every answer, and sends the batch again.

/** @import { Socket } from "node:net" */
/** @import { Handshake, PreparedJob } from "./jobs.mjs" */

import { connect as netConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";

// All connections read into one buffer: what was read is checked before the next read.
const shared = Buffer.alloc(256 * 1024);

/**
 * @param {PreparedJob} job
 * @param {(bytes: Buffer) => void} onBytes
 * @param {() => void} onConnect
 * @returns {Socket}
 */
function open({ port, tls, alpn = "http/1.1" }, onBytes, onConnect) {
  const where = { port, host: "127.0.0.1" };
  if (tls) {
    const socket = tlsConnect({ ...where, rejectUnauthorized: false, ALPNProtocols: [alpn] }, onConnect);
    socket.setNoDelay(true);
    socket.on("data", onBytes);
    return socket;
  }
  /** @param {number} length */
  const callback = (length) => {
    onBytes(shared.subarray(0, length));
    return true;
  };
  return netConnect({ ...where, noDelay: true, onread: { buffer: shared, callback } }, onConnect);
}

export class Talk {
  #job;
  #socket;
  #reader;
  #onBatch;
  #onFailure;
  #waiting = 0;
  #since = 0;
  #closing = false;
  #head = "";
  /** @type {Handshake} */
  #handshake = { request: "", check: () => {} };
  /** @type {(() => void) | undefined} */
  #onOpen;
  /** Resolves when the connection is ready for a batch. */
  opened;

  /**
   * @param {PreparedJob} job
   * @param {(talk: Talk, ms: number) => void} onBatch called when a batch is answered, with the time that took
   * @param {(error: unknown) => void} onFailure
   */
  constructor(job, onBatch, onFailure) {
    this.#job = job;
    this.#onBatch = onBatch;
    this.#onFailure = onFailure;
    this.#reader = job.reader((bytes) => this.#socket.write(bytes));
    let resolve = () => {};
    this.opened = new Promise((/** @type {(value?: undefined) => void} */ settle) => {
      resolve = settle;
    });
    this.#socket = open(
      job,
      (bytes) => this.#receive(bytes),
      () => {
        if (job.handshake === undefined) return resolve();
        this.#handshake = job.handshake();
        this.#onOpen = () => {
          this.#onOpen = undefined;
          resolve();
        };
        this.#socket.write(this.#handshake.request, "latin1");
      },
    );
    this.#socket.on("error", (error) => this.#closing || onFailure(error));
    this.#socket.on("close", () => this.#closing || onFailure(new Error("the server closed")));
  }

  say() {
    this.#waiting += this.#job.perBatch;
    this.#since = performance.now();
    const batch = this.#reader.batch?.() ?? this.#job.batch;
    if (batch.length > 0) this.#socket.write(batch);
  }

  /** @param {Buffer} bytes */
  #receive(bytes) {
    if (this.#closing) return;
    try {
      const rest = this.#onOpen === undefined ? bytes : this.#answerToHandshake(bytes);
      if (rest !== undefined && rest.length > 0) this.#count(this.#reader.push(rest));
    } catch (error) {
      this.#onFailure(error);
    }
  }

  /** @param {number} done */
  #count(done) {
    if (done === 0) return;
    this.#waiting -= done;
    if (this.#waiting < 0) throw new Error("more answers than requests");
    if (this.#waiting === 0) this.#onBatch(this, performance.now() - this.#since);
  }

  /** @param {Buffer} bytes */
  #answerToHandshake(bytes) {
    this.#head += bytes.toString("latin1");
    for (;;) {
      const { check, last = /\r\n\r\n/, next } = this.#handshake;
      const end = last.exec(this.#head);
      if (end === null) return undefined;
      check(this.#head.slice(0, end.index));
      this.#head = this.#head.slice(end.index + end[0].length);
      if (next === undefined) break;
      this.#handshake = next;
      this.#socket.write(next.request, "latin1");
    }
    this.#onOpen?.();
    return Buffer.from(this.#head, "latin1");
  }

  /**
   * Ends the connection; resolves when it is closed.
   *
   * @returns {Promise<void>}
   */
  close() {
    this.#closing = true;
    return new Promise((resolve) => {
      if (this.#socket.closed) return resolve();
      this.#socket.once("close", () => resolve());
      this.#socket.end();
    });
  }

  /**
   * Resolves when the server has closed the connection, as it should.
   *
   * @returns {Promise<void>}
   */
  closedByServer() {
    this.#closing = true;
    return new Promise((resolve) => {
      if (this.#socket.closed) resolve();
      else this.#socket.once("close", () => resolve());
    });
  }

  destroy() {
    this.#closing = true;
    this.#socket.destroy();
  }
}
