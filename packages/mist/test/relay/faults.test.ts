// Brokers that die, hang, or talk nonsense, under load.

import { once } from "node:events";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { createClient } from "redis";
import { afterEach, describe, expect, test, vi } from "vitest";
import { nats } from "../../src/relay/nats/nats.ts";
import { Outbox, type Undelivered } from "../../src/relay/outbox.ts";
import { redis } from "../../src/relay/redis/redis.ts";
import type { Relay } from "../../src/relay/relay.ts";
import { RecordingSink } from "../../src/relay/testing/recording-sink.ts";
import { Engine, has } from "./engine.ts";

interface Kind {
  readonly program: "nats-server" | "redis-server";
  readonly start: () => Promise<Engine>;
  readonly relay: (port: number) => Relay;
  /** Nothing is lost while a subscriber is away. */
  readonly keeps: boolean;
}

const redisAt = (port: number) =>
  createClient({ socket: { host: "127.0.0.1", port, reconnectStrategy: 50 } });
const natsAt = (port: number): Relay =>
  nats({ servers: `127.0.0.1:${port}`, reconnectTimeWait: 50, pingInterval: 500, maxPingOut: 2 });

const kinds: Record<string, Kind> = {
  NATS: { program: "nats-server", start: () => Engine.nats(), relay: natsAt, keeps: false },
  "Redis pub/sub": {
    program: "redis-server",
    start: () => Engine.redis(),
    relay: (port) => redis(redisAt(port)),
    keeps: false,
  },
  "Redis streams": {
    program: "redis-server",
    start: () => Engine.redis({ durable: true }),
    relay: (port) => redis(redisAt(port), { streams: { maxLength: 1_000_000 } }),
    keeps: true,
  },
};

const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of endings.splice(0).reverse()) await end();
});

describe.each(Object.entries(kinds))("%s", (_name, kind) => {
  describe.runIf(has(kind.program))("a broker that", () => {
    test("is killed and started again under load: nothing twice, nothing out of order, all that was promised", async () => {
      const engine = await started(kind);
      const publisher = await Publisher.on(kind.relay(engine.port));
      const sink = await subscriber(kind.relay(engine.port));
      const load = publisher.keepPublishing();
      for (let round = 0; round < 3; round++) {
        const { sent } = publisher;
        await sink.received("load", (texts) => texts.length > sent);
        const lost = Promise.all([publisher.sink.loss(), sink.loss()]);
        await engine.kill();
        await lost;
        await engine.start();
        await Promise.all([publisher.sink.connection(), sink.connection()]);
      }
      const back = publisher.sent;
      await sink.received("load", (texts) => Number(texts.at(-1)) > back + 100);
      await load.stop();
      await sink.received("load", (texts) => Number(texts.at(-1)) === publisher.sent - 1);
      const numbers = heard(sink);
      expect(publisher.dropped).toEqual([]);
      expect(new Set(numbers).size).toBe(numbers.length);
      // What was published after everybody was back is there; and all of it, where the engine keeps messages.
      const first = kind.keeps ? 0 : back;
      expect(numbers.filter((number) => number >= first)).toEqual(range(first, publisher.sent));
    });

    test("hangs: what waits for it is bounded, and arrives when it goes on", async () => {
      const engine = await started(kind);
      const publisher = await Publisher.on(kind.relay(engine.port), 4 * 1024 * 1024);
      const sink = await subscriber(kind.relay(engine.port));
      engine.freeze();
      const large = "x".repeat(64 * 1024);
      for (let i = 0; i < 400; i++) {
        publisher.publish(large);
        await turn();
      }
      expect(publisher.outbox.bytes).toBeLessThanOrEqual(4 * 1024 * 1024);
      const accepted = 400 - publisher.dropped.length;
      expect(accepted).toBeGreaterThan(50);
      expect(new Set(publisher.dropped)).toEqual(new Set(["full"]));
      engine.thaw();
      await publisher.outbox.drained();
      publisher.publish("");
      await sink.received("load", (texts) => Number.parseInt(texts.at(-1) ?? "", 10) === 400);
      const numbers = heard(sink);
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      expect(numbers.length).toBe(accepted + 1);
    });

    const nonsense: Record<string, string | Buffer> = {
      "random bytes": Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 256)),
      "an answer to nothing": kind.program === "nats-server" ? "PONG\r\nPONG\r\n" : "+OK\r\n:1\r\n",
      "a message of an unknown subscription":
        kind.program === "nats-server"
          ? "MSG x 999 2\r\nhi\r\n"
          : ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$2\r\nhi\r\n",
      "an endless line": "x".repeat(200_000),
      "a broken length": kind.program === "nats-server" ? "MSG x 1 -5\r\n" : "$-99999999\r\n*zz\r\n",
      "a broken greeting": kind.program === "nats-server" ? "INFO {{{\r\n" : "%1\r\n+a\r\n",
    };

    test("talks nonsense: the relay is connected again, and works", async () => {
      // The client of NATS prints what it cannot read.
      vi.spyOn(console, "log").mockImplementation(() => {});
      const engine = await started(kind);
      const sinks: RecordingSink[] = [];
      for (const bytes of Object.values(nonsense)) {
        const liar = await Liar.before(engine.port);
        sinks.push(await subscriber(kind.relay(liar.port)));
        liar.say(bytes);
      }
      const publisher = await Publisher.on(kind.relay(engine.port));
      const load = publisher.keepPublishing();
      for (const sink of sinks) {
        const { sent } = publisher;
        await sink.received("load", (texts) => Number(texts.at(-1)) > sent + 100);
      }
      await load.stop();
    });
  });
});

async function started(kind: Kind): Promise<Engine> {
  const engine = await kind.start();
  endings.push(() => engine.remove());
  return engine;
}

async function opened(relay: Relay, sink: RecordingSink): Promise<void> {
  endings.push(() => relay.close());
  void relay.open(sink);
  await sink.connection();
}

async function subscriber(relay: Relay): Promise<RecordingSink> {
  const sink = new RecordingSink();
  await opened(relay, sink);
  await relay.subscribe("load");
  return sink;
}

/** What topics make of what came: a number that is not above the last one is a duplicate. */
function heard(sink: RecordingSink): number[] {
  const numbers: number[] = [];
  for (const text of sink.texts("load")) {
    const number = Number.parseInt(text, 10);
    if (number > (numbers.at(-1) ?? -1)) numbers.push(number);
  }
  return numbers;
}

/** Publishes numbers, as topics do: by an outbox. */
class Publisher {
  readonly sink: RecordingSink;
  readonly outbox: Outbox;
  readonly dropped: Undelivered[] = [];
  sent = 0;

  private constructor(relay: Relay, maxBytes: number) {
    this.outbox = new Outbox(relay, {
      maxBytes,
      maxAgeMs: 30_000,
      dropped: (_topic, reason) => this.dropped.push(reason),
    });
    const { outbox } = this;
    this.sink = new (class extends RecordingSink {
      override connected(): void {
        super.connected();
        outbox.connected();
      }
      override disconnected(): void {
        super.disconnected();
        outbox.disconnected();
      }
    })();
  }

  static async on(relay: Relay, maxBytes: number = 16 * 1024 * 1024): Promise<Publisher> {
    const publisher = new Publisher(relay, maxBytes);
    await opened(relay, publisher.sink);
    return publisher;
  }

  publish(rest: string = ""): void {
    this.outbox.publish("load", Buffer.from(`${this.sent++}${rest === "" ? "" : ` ${rest}`}`));
  }

  /** Ten messages with every turn of the event loop, while not too many wait. */
  keepPublishing(): { stop(): Promise<void> } {
    let stopped = false;
    const run = async (): Promise<void> => {
      while (!stopped) {
        for (let i = 0; i < 10 && this.outbox.bytes < 20_000; i++) this.publish();
        await turn();
      }
      await this.outbox.drained();
    };
    const ended = run();
    return {
      stop: () => {
        stopped = true;
        return ended;
      },
    };
  }
}

/** Stands between a relay and its broker, and puts in a word of its own. */
class Liar {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();

  private constructor(brokerPort: number) {
    this.#server = createServer((client) => {
      this.#clients.add(client);
      const broker = dial(brokerPort, "127.0.0.1");
      client.pipe(broker).pipe(client);
      for (const [one, other] of [
        [client, broker],
        [broker, client],
      ] as const) {
        one.on("error", () => {});
        one.on("close", () => other.destroy());
      }
      client.on("close", () => this.#clients.delete(client));
    });
  }

  static async before(brokerPort: number): Promise<Liar> {
    const liar = new Liar(brokerPort);
    liar.#server.listen(0, "127.0.0.1");
    await once(liar.#server, "listening");
    endings.push(() => void liar.#server.close());
    return liar;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** To everybody who is connected now. */
  say(bytes: string | Buffer): void {
    for (const client of this.#clients) client.write(bytes);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
