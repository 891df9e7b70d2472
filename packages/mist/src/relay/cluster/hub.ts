// The hub in the primary process: what a relay of one worker publishes, it passes on to those of the others that have
// subscribed.
//
// A worker that takes less than it is sent is bounded: beyond `maxUntaken` nothing more is queued for it, and once it
// has caught up it is told that it has missed something.

import nodeCluster, { type Worker } from "node:cluster";
import { clock, ignore } from "@x/glisten/kit";
import { Kept } from "./kept.ts";
import { type Bundle, isRequest, type Notice, type Request, type Tell } from "./messages.ts";

/** Characters on their way to one relay that its process has not taken yet. */
const maxUntaken = 16 * 1024 * 1024;
/** Characters that make a bundle large enough to leave at once. */
const fullBundle = 256 * 1024;

/** The hub's end of one relay. */
class Port {
  readonly topics = new Set<string>();
  readonly #say: (tell: Tell, taken: () => void) => void;
  #bundle: string[] = [];
  #bundled = 0;
  #untaken = 0;
  #missed = false;

  /** `say` calls `taken` when the process has taken the notice, or never will. */
  constructor(say: (tell: Tell, taken: () => void) => void) {
    this.#say = say;
  }

  /** Passes a message on, soon. */
  pass(topic: string, message: string): void {
    const size = topic.length + message.length;
    if (this.#missed || this.#untaken + size > maxUntaken) {
      this.#missed = true;
      return;
    }
    this.#untaken += size;
    this.#bundled += size;
    if (this.#bundle.push(topic, message) === 2) clock.nextTurn(() => this.#flush());
    if (this.#bundled >= fullBundle) this.#flush();
  }

  /** Says something behind everything that has been passed on. */
  tell(tell: Tell): void {
    this.#flush();
    this.#say(tell, ignore);
  }

  #flush(): void {
    if (this.#bundle.length === 0) return;
    const [bundle, size] = [this.#bundle, this.#bundled];
    this.#bundle = [];
    this.#bundled = 0;
    this.#say({ do: "receive", bundle }, () => this.#taken(size));
  }

  #taken(size: number): void {
    this.#untaken -= size;
    if (!this.#missed || this.#untaken > 0) return;
    this.#missed = false;
    this.tell({ do: "missed" });
  }
}

/** How a relay in the primary itself talks to the hub. */
export interface HubClient {
  request(request: Request): void;
}

class Hub {
  readonly #ports = new Set<Port>();
  readonly #byWorker = new Map<Worker, Map<number, Port>>();
  readonly #kept = new Kept();

  constructor() {
    nodeCluster.on("message", (worker: Worker, message: unknown) => {
      if (isRequest(message))
        this.#hear(this.#portsOf(worker), message, (notice, taken) => say(worker, notice, taken));
    });
    nodeCluster.on("exit", (worker: Worker) => {
      for (const port of this.#byWorker.get(worker)?.values() ?? []) this.#ports.delete(port);
      this.#byWorker.delete(worker);
    });
  }

  /** For relays in this process; `hear` is called in a turn of its own. */
  attach(hear: (notice: Notice) => void): HubClient {
    const ports = new Map<number, Port>();
    const told = (notice: Notice, taken: () => void): void => {
      clock.nextTurn(() => {
        hear(notice);
        taken();
      });
    };
    return { request: (request) => this.#hear(ports, request, told) };
  }

  #portsOf(worker: Worker): Map<number, Port> {
    let ports = this.#byWorker.get(worker);
    if (ports === undefined) {
      ports = new Map();
      // Its last messages may come behind its exit.
      if (!worker.isDead()) this.#byWorker.set(worker, ports);
    }
    return ports;
  }

  #hear(ports: Map<number, Port>, request: Request, say: (notice: Notice, taken: () => void) => void): void {
    const { relay, ask } = request;
    const port = ports.get(relay);
    switch (ask.do) {
      case "open": {
        const opened = new Port((tell, taken) => say({ mistTopics: "from-hub", relay, tell }, taken));
        ports.set(relay, opened);
        this.#ports.add(opened);
        this.#kept.limit = Math.max(this.#kept.limit, ask.keep);
        opened.tell({ do: "done", id: ask.id, kept: [] });
        break;
      }
      case "subscribe":
        port?.topics.add(ask.topic);
        port?.tell({ do: "done", id: ask.id, kept: [] });
        break;
      case "unsubscribe":
        port?.topics.delete(ask.topic);
        break;
      case "publish":
        this.#publish(port, ask.bundle);
        break;
      case "history":
        port?.tell({ do: "done", id: ask.id, kept: this.#kept.last(ask.topic, ask.limit) });
        break;
      case "close":
        if (port !== undefined) this.#ports.delete(port);
        ports.delete(relay);
    }
  }

  #publish(from: Port | undefined, bundle: Bundle): void {
    for (let at = 0; at + 1 < bundle.length; at += 2) {
      const [topic, message] = [bundle[at] as string, bundle[at + 1] as string];
      this.#kept.add(topic, message);
      for (const port of this.#ports) if (port !== from && port.topics.has(topic)) port.pass(topic, message);
    }
  }
}

function say(worker: Worker, notice: Notice, taken: () => void): void {
  if (!worker.isConnected()) return;
  // A channel that breaks calls back with an error, too.
  worker.send(notice, taken);
}

let hub: Hub | undefined;

/** The hub of this process, a primary; begins to listen to its workers. */
export function theHub(): Hub {
  hub ??= new Hub();
  return hub;
}

export type { Hub };
