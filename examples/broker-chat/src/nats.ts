// As much of a NATS client as a chat needs, on a mug socket: lines of text, and payloads of a known length.
// The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol

import * as mug from "@x/mug";

/** A connection to a broker. It does not come back by itself: see link.ts. */
export class Nats {
  readonly #socket: mug.Socket;

  private constructor(socket: mug.Socket) {
    this.#socket = socket;
  }

  /** Connects, and waits until the broker has taken us in. */
  static async connect(host: string, port: number, signal: AbortSignal): Promise<Nats> {
    const socket = await mug.new(host, { port }).signal(signal).connect();
    const nats = new Nats(socket);
    try {
      const options = { verbose: false, pedantic: false, name: "broker-chat", lang: "node", version: "1" };
      await socket.send(`CONNECT ${JSON.stringify(options)}\r\nPING\r\n`);
      while ((await nats.#line({ timeout: 5_000, signal })) !== "PONG");
      return nats;
    } catch (error) {
      await socket.close();
      throw error;
    }
  }

  async publish(subject: string, text: string): Promise<void> {
    const payload = Buffer.from(text);
    await this.#socket.send([`PUB ${subject} ${payload.length}\r\n`, payload, "\r\n"]);
  }

  /** What is published to a subject, by us too. Ends with an error when the connection does. */
  async *subscribe(subject: string): AsyncGenerator<string> {
    await this.#socket.send(`SUB ${subject} 1\r\n`);
    for (;;) {
      const [operation, ...words] = (await this.#line()).split(" ");
      if (operation === "PING") await this.#socket.send("PONG\r\n");
      if (operation === "MSG") yield this.#payload(Number(words.at(-1)));
    }
  }

  async close(): Promise<void> {
    await this.#socket.close();
  }

  async #line(options?: mug.WaitOptions): Promise<string> {
    const line = await this.#socket.receiveLine(options);
    if (line.startsWith("-ERR")) throw new Error(`the broker says ${line.slice(5)}`);
    return line;
  }

  async #payload(length: number): Promise<string> {
    const payload = await this.#socket.receiveExact(length + 2);
    return payload.toString("utf8", 0, length);
  }
}
