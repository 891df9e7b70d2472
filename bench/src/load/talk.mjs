// One connection of the load: opens, says its batch, waits for every answer to it, says it again.

import { connect as netConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";

// All connections read into one buffer: what was read is looked at before the next read.
const shared = Buffer.alloc(256 * 1024);

function open({ port, tls }, onBytes, onConnect) {
  const where = { port, host: "127.0.0.1" };
  if (tls) {
    const socket = tlsConnect(
      { ...where, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] },
      onConnect,
    );
    socket.setNoDelay(true);
    socket.on("data", onBytes);
    return socket;
  }
  const callback = (length, bytes) => {
    onBytes(bytes.subarray(0, length));
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
  #check;

  /** @param job `{ port, tls, batch, perBatch, reader(), handshake? }` */
  constructor(job, onBatch, onFailure) {
    this.#job = job;
    this.#onBatch = onBatch;
    this.#onFailure = onFailure;
  }

  /** Settles when the connection is ready to be talked on. */
  open() {
    this.#reader = this.#job.reader();
    return new Promise((resolve) => {
      const ready = () => {
        this.#onOpen = undefined;
        resolve();
      };
      this.#socket = open(
        this.#job,
        (bytes) => this.#receive(bytes),
        () => {
          if (this.#job.handshake === undefined) return ready();
          const { request, check } = this.#job.handshake();
          this.#check = check;
          this.#onOpen = ready;
          this.#socket.write(request, "latin1");
        },
      );
      this.#socket.on("error", (error) => this.#closing || this.#onFailure(error));
      this.#socket.on("close", () => this.#closing || this.#onFailure(new Error("the server closed")));
    });
  }

  #onOpen;

  say() {
    this.#waiting += this.#job.perBatch;
    this.#since = performance.now();
    if (this.#job.batch.length > 0) this.#socket.write(this.#job.batch);
  }

  #receive(bytes) {
    if (this.#closing) return;
    try {
      const rest = this.#onOpen === undefined ? bytes : this.#answerToHandshake(bytes);
      if (rest !== undefined && rest.length > 0) this.#count(this.#reader.push(rest));
    } catch (error) {
      this.#onFailure(error);
    }
  }

  #count(done) {
    if (done === 0) return;
    this.#waiting -= done;
    if (this.#waiting < 0) throw new Error("more answers than questions");
    if (this.#waiting === 0) this.#onBatch(this, performance.now() - this.#since);
  }

  #answerToHandshake(bytes) {
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    this.#check(this.#head.slice(0, end));
    this.#onOpen();
    return Buffer.from(this.#head.slice(end + 4), "latin1");
  }

  /** Closes in order; settles when the connection is gone. */
  close() {
    this.#closing = true;
    return new Promise((resolve) => {
      if (this.#socket.closed) return resolve();
      this.#socket.once("close", resolve);
      this.#socket.end();
    });
  }

  /** Lets go of the connection, once the server has closed it as it should; settles then. */
  closedByServer() {
    this.#closing = true;
    return new Promise((resolve) => {
      if (this.#socket.closed) resolve();
      else this.#socket.once("close", resolve);
    });
  }

  destroy() {
    this.#closing = true;
    this.#socket.destroy();
  }
}
