// `clusterRelay()`: topics of all workers of `mist.cluster`, without a broker. Messages go through the primary process.
//
// Worker and primary talk over the channel that node:cluster has between them. A process that is no worker has the hub
// itself, so that the same program runs in a single process as well.

import { Buffer } from "node:buffer";
import nodeCluster from "node:cluster";
import process from "node:process";
import { TransportError } from "@x/glisten";
import { checkNames, harmless, ignore, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Relay, RelaySink } from "../relay.ts";
import { theHub } from "./hub.ts";
import { type Ask, type Bundle, isNotice, type Notice, type Request } from "./messages.ts";

/** Options of {@link clusterRelay}. */
export interface ClusterRelayOptions {
  /**
   * Messages of each topic that the primary keeps (64 MiB of all topics at most), for workers that start later: a
   * client that comes back to another worker finds what it has missed. 0: none. Default 100.
   */
  readonly keep?: number | undefined;
}

/** How a relay reaches the hub. */
interface Channel {
  /** `sent` is called when the request is on its way, with an error if it is not. */
  send(request: Request, sent: (error: Error | null) => void): void;
  close(): void;
}

/** Characters of a bundle. */
const fullBundle = 256 * 1024;

class ClusterRelay implements Relay {
  static #last = 0;
  readonly #number: number;
  readonly #keep: number;
  readonly #topics = new Set<string>();
  readonly #questions = new Map<number, (kept: readonly string[]) => void>();
  #lastQuestion = 0;
  #channel: Channel | undefined;
  #sink: RelaySink | undefined;
  /** Published in this turn: topic and message, one behind the other. */
  #bundle: string[] = [];
  #bundled = 0;
  /** What was published last is on its way. */
  #sent: Promise<void> = Promise.resolve();
  /** Messages that came while those before them are fetched. */
  #held: Bundle[] | undefined;
  history?: NonNullable<Relay["history"]>;

  constructor(keep: number) {
    ClusterRelay.#last += 1;
    this.#number = ClusterRelay.#last;
    this.#keep = keep;
    if (keep > 0) this.history = (topic, limit) => this.#history(topic, limit);
  }

  async open(sink: RelaySink): Promise<void> {
    this.#sink = sink;
    const hear = (notice: Notice): void => this.#hear(notice);
    const gone = (): void => sink.disconnected(new TransportError("closed", "the primary process has gone"));
    this.#channel = nodeCluster.isWorker ? toPrimary(hear, gone) : toOwnHub(hear);
    await this.#ask((id) => ({ do: "open", keep: this.#keep, id }));
    sink.connected();
  }

  async subscribe(topic: string): Promise<void> {
    this.#topics.add(topic);
    await this.#ask((id) => ({ do: "subscribe", topic, id }));
  }

  unsubscribe(topic: string): void {
    this.#topics.delete(topic);
    void this.#say({ do: "unsubscribe", topic });
  }

  /** What is published in one turn goes to the primary together. */
  publish(topic: string, bytes: Uint8Array): Promise<void> {
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
    this.#bundled += message.length;
    if (this.#bundle.push(topic, message) === 2) this.#sent = Promise.resolve().then(() => this.#flush());
    if (this.#bundled >= fullBundle) this.#sent = this.#flush();
    return this.#sent;
  }

  #flush(): Promise<void> {
    const bundle = this.#bundle;
    if (bundle.length === 0) return this.#sent;
    this.#bundle = [];
    this.#bundled = 0;
    return this.#say({ do: "publish", bundle });
  }

  async #history(topic: string, limit: number): Promise<readonly Uint8Array[]> {
    return (await this.#kept(topic, limit)).map((message) => Buffer.from(message, "base64"));
  }

  #kept(topic: string, limit: number): Promise<readonly string[]> {
    return this.#ask((id) => ({ do: "history", topic, limit, id }));
  }

  async close(): Promise<void> {
    await this.#flush().catch(ignore);
    await this.#say({ do: "close" }).catch(ignore);
    this.#sink = undefined;
    this.#channel?.close();
    for (const answered of this.#questions.values()) answered([]);
  }

  #hear({ relay, tell }: Notice): void {
    if (relay !== this.#number || this.#sink === undefined) return;
    if (tell.do === "done") this.#questions.get(tell.id)?.(tell.kept);
    else if (tell.do === "missed") void this.#catchUp(this.#sink);
    else if (this.#held !== undefined) this.#held.push(tell.bundle);
    else this.#receive(tell.bundle);
  }

  #receive(bundle: Bundle): void {
    for (let at = 0; at + 1 < bundle.length; at += 2) {
      const topic = bundle[at] as string;
      if (this.#topics.has(topic))
        this.#sink?.receive(topic, Buffer.from(bundle[at + 1] as string, "base64"));
    }
  }

  /** Messages were dropped for this process: as if it had been away. */
  async #catchUp(sink: RelaySink): Promise<void> {
    sink.disconnected(new TransportError("closed", "this process took messages too slowly"));
    this.#held ??= [];
    const topics = this.#keep > 0 ? [...this.#topics] : [];
    const missed = await Promise.all(topics.map((topic) => this.#kept(topic, this.#keep)));
    for (const [at, topic] of topics.entries()) this.#receive(missed[at]!.flatMap((text) => [topic, text]));
    const held = this.#held;
    this.#held = undefined;
    for (const bundle of held ?? []) this.#receive(bundle);
    this.#sink?.connected();
  }

  #ask(question: (id: number) => Ask): Promise<readonly string[]> {
    this.#lastQuestion += 1;
    const id = this.#lastQuestion;
    return new Promise((resolve, reject) => {
      this.#questions.set(id, (kept) => {
        this.#questions.delete(id);
        resolve(kept);
      });
      this.#say(question(id)).catch((error: unknown) => {
        this.#questions.delete(id);
        reject(error);
      });
    });
  }

  #say(ask: Ask): Promise<void> {
    const said = new Promise<void>((resolve, reject) => {
      const request: Request = { mistTopics: "to-hub", relay: this.#number, ask };
      if (this.#channel === undefined) resolve();
      else this.#channel.send(request, (error) => (error === null ? resolve() : reject(error)));
    });
    return harmless(said);
  }
}

function toPrimary(hear: (notice: Notice) => void, gone: () => void): Channel {
  const listen = (message: unknown): void => {
    if (isNotice(message)) hear(message);
  };
  process.on("message", listen);
  process.once("disconnect", gone);
  return {
    send(request, sent) {
      if (process.connected) process.send?.(request, undefined, undefined, sent);
      else sent(new TransportError("closed", "the primary process has gone"));
    },
    close() {
      process.off("message", listen);
      process.off("disconnect", gone);
    },
  };
}

function toOwnHub(hear: (notice: Notice) => void): Channel {
  const client = theHub().attach(hear);
  return {
    send(request, sent) {
      client.request(request);
      sent(null);
    },
    close() {},
  };
}

/**
 * A relay between the workers of `mist.cluster`, and their primary, if it has topics as well. Elsewhere a process is on
 * its own. A worker that takes so little that 16 MiB wait for it in the primary misses messages: to its topics it is
 * as if the connection had been lost for a while.
 *
 * @throws UsageError unless `keep` is an integer of at least 0.
 *
 * @example
 * ```ts
 * import { clusterRelay } from "@x/mist/relay/cluster";
 *
 * const rooms = mist.topics({ relay: clusterRelay() });
 * ```
 */
export function clusterRelay(options: ClusterRelayOptions = {}): Relay {
  checkNames("clusterRelay", options, ["keep"]);
  const { keep = 100 } = options;
  if (!Number.isSafeInteger(keep) || keep < 0) {
    throw new UsageError(`keep must be an integer of at least 0, got ${shown(keep)}`);
  }
  return new ClusterRelay(keep);
}
