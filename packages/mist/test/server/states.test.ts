// Every way to leave, in every state a connection can be in; and a stop in every state.

import * as net from "node:net";
import type * as mug from "@x/mug";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { readAnswer, type Served, serve, statuses } from "./serve.ts";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
const post = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`;
const text = (body: string) => mist.response(200).setBody(mist.bytes(body));

const handshake =
  "GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

interface Counts {
  /** Handlers running. */
  handling: number;
  /** Generators running. */
  producing: number;
}

/** A server with one route for each thing that can be under way. */
async function begin(configure?: (builder: mist.Builder) => mist.Builder) {
  const counts: Counts = { handling: 0, producing: 0 };
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  async function* pieces(first: number) {
    counts.producing += 1;
    try {
      yield new Uint8Array(first);
      await released;
      yield "end";
    } finally {
      counts.producing -= 1;
    }
  }
  const routes: Record<string, mist.Handler> = {
    "/ok": () => text("ok"),
    "/wait": async () => {
      await released;
      return text("waited");
    },
    "/read": async (request) => {
      const content = await mist.readBody(request, { maxBodyLimit: 1 << 20 });
      return text(`read ${content.length}`);
    },
    "/unread": () => text("unread"),
    "/stream": () => mist.response(200).setBody(mist.chunked(pieces(1))),
    "/flood": () => mist.response(200).setBody(mist.chunked(pieces(16 * 1024 * 1024))),
    "/ws": (request) => mist.websocket({ request, onInit: () => undefined, handler: () => {} }),
  };
  const served = await serve(async (request) => {
    counts.handling += 1;
    try {
      return await (routes[request.path] as mist.Handler)(request);
    } finally {
      counts.handling -= 1;
    }
  }, configure);
  return { ...served, counts, release };
}

type Begun = Awaited<ReturnType<typeof begin>>;

/** A state, how to get there, and what a client that stays until the end is given. */
interface State {
  readonly name: string;
  /** Bytes to send, and what tells that the server is there. */
  readonly enter: (socket: mug.Socket, begun: Begun) => Promise<void>;
  /** Statuses still to come when the client half-closes. */
  readonly halfClosed: readonly number[];
  /** Statuses still to come when the server stops, the handlers being released. */
  readonly stopped: readonly number[];
}

const settle = async (begun: Served, bytes: number) => {
  await expect.poll(() => begun.server.info().bytesRead).toBeGreaterThanOrEqual(bytes);
};

function sends(bytes: string) {
  return async (socket: mug.Socket, begun: Begun) => {
    await socket.send(bytes);
    await settle(begun, bytes.length);
  };
}

const states: readonly State[] = [
  {
    name: "nothing sent",
    enter: async (_, { server }) => expect.poll(() => server.info().connections).toBe(1),
    halfClosed: [],
    stopped: [],
  },
  { name: "an empty line", enter: sends("\r\n"), halfClosed: [], stopped: [] },
  { name: "half a request line", enter: sends("GET /o"), halfClosed: [400], stopped: [408] },
  {
    name: "half a head",
    enter: sends("GET /ok HTTP/1.1\r\nhost: a\r\nx"),
    halfClosed: [400],
    stopped: [408],
  },
  {
    name: "between requests",
    enter: async (socket) => {
      await socket.send(get("/ok"));
      await readAnswer(socket);
    },
    halfClosed: [],
    stopped: [],
  },
  {
    name: "a handler at work",
    enter: async (socket, { counts }) => {
      await socket.send(get("/wait"));
      await expect.poll(() => counts.handling).toBe(1);
    },
    halfClosed: [200],
    stopped: [200],
  },
  {
    name: "requests waiting behind it",
    enter: async (socket, { counts }) => {
      await socket.send(get("/wait") + get("/ok").repeat(2));
      await expect.poll(() => counts.handling).toBe(1);
    },
    halfClosed: [200, 200, 200],
    stopped: [200, 200, 200],
  },
  {
    name: "content half read",
    enter: async (socket, { counts }) => {
      await socket.send(`${post("/read", 10)}abc`);
      await expect.poll(() => counts.handling).toBe(1);
    },
    halfClosed: [400],
    stopped: [408],
  },
  {
    name: "a chunk half read",
    enter: sends("POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"),
    halfClosed: [400],
    stopped: [408],
  },
  {
    name: "content nobody reads",
    enter: async (socket) => {
      await socket.send(`${post("/unread", 1000)}abc`);
      await readAnswer(socket);
    },
    halfClosed: [],
    stopped: [],
  },
  {
    name: "a 100 awaited",
    enter: async (socket) => {
      await socket.send(
        "POST /read HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
      );
      await readAnswer(socket);
    },
    halfClosed: [400],
    stopped: [408],
  },
  {
    name: "a stream that waits",
    enter: async (socket) => {
      await socket.send(get("/stream"));
      await socket.receiveUntil("1\r\n\0\r\n", { timeout: 5000 });
    },
    halfClosed: [],
    stopped: [],
  },
  {
    name: "a stream the client does not take",
    enter: async (socket, { counts }) => {
      await socket.send(get("/flood"));
      await expect.poll(() => counts.producing).toBe(1);
    },
    halfClosed: [200],
    stopped: [200],
  },
];

const upgraded: State = {
  name: "another protocol",
  enter: async (socket) => {
    await socket.send(handshake);
    expect((await readAnswer(socket)).status).toBe(101);
  },
  halfClosed: [],
  stopped: [],
};

const deadlines = { headMs: 300, bodyIdleMs: 300 };

describe.each([...states, upgraded])("a client in this state: $name", ({ enter, halfClosed }) => {
  it.each(["reset", "close"] as const)("that leaves by %s leaves nothing behind", async (how) => {
    const begun = await begin();
    const { connect, counts, server, reports, ask, release } = begun;
    const socket = await connect();
    await enter(socket, begun);
    await socket[how]();
    release();
    await expect.poll(() => server.info().connections, { timeout: 10_000 }).toBe(0);
    await expect.poll(() => ({ ...counts })).toEqual({ handling: 0, producing: 0 });
    expect(reports).toEqual([]);
    expect(statuses(await ask(get("/ok")))).toEqual([200]);
  });

  it("that half-closes gets what is due, and then the end", async () => {
    const begun = await begin();
    const { connect, counts, server, reports, release } = begun;
    const socket = await connect();
    await enter(socket, begun);
    await socket.halfClose();
    release();
    const rest = await socket.receiveToEnd({ timeout: 10_000, max: 64 * 1024 * 1024 });
    expect(statuses(rest.toString("latin1"))).toEqual(halfClosed);
    await socket.close();
    await expect.poll(() => server.info().connections, { timeout: 10_000 }).toBe(0);
    expect(counts).toEqual({ handling: 0, producing: 0 });
    expect(reports).toEqual([]);
  });
});

describe.each(states)("a stop in this state: $name", ({ enter, stopped }) => {
  it("finishes what is under way and ends in order", async () => {
    const begun = await begin((builder) => builder.withDeadlines(deadlines));
    const { connect, counts, server, reports, release } = begun;
    const socket = await connect();
    await enter(socket, begun);
    const stopping = server.stop({ deadlineMs: 10_000 });
    release();
    const rest = await socket.receiveToEnd({ timeout: 10_000, max: 64 * 1024 * 1024 });
    expect(statuses(rest.toString("latin1"))).toEqual(stopped);
    await socket.close();
    expect((await stopping).killed).toBe(0);
    expect(counts).toEqual({ handling: 0, producing: 0 });
    expect(reports).toEqual([]);
  });

  it("ends at its deadline whatever the client does", async () => {
    const begun = await begin();
    const { connect, counts, server, reports, release } = begun;
    const socket = await connect();
    await enter(socket, begun);
    await server.stop({ deadlineMs: 50 });
    release();
    expect(server.info().connections).toBe(0);
    await expect.poll(() => ({ ...counts })).toEqual({ handling: 0, producing: 0 });
    expect(reports).toEqual([]);
    await socket.reset();
  });
});

describe("ten thousand connections", () => {
  it("come and go, and the counters are back at zero", async () => {
    const begun = await begin((builder) => builder.withMaxConnections(2000));
    const { port, server, counts, reports } = begun;
    const scripts: ((socket: net.Socket) => void)[] = [
      (socket) => socket.end(get("/ok")),
      (socket) => socket.write(get("/ok"), () => socket.resetAndDestroy()),
      (socket) => socket.end("GET /ok HT"),
      (socket) => socket.resetAndDestroy(),
      (socket) => socket.end(),
      (socket) => socket.write(get("/stream"), () => socket.destroy()),
      (socket) => socket.write(`${post("/read", 10)}abc`, () => socket.destroy()),
      (socket) => socket.end(`${post("/unread", 10)}abc`),
      (socket) => socket.write("\0\r\n\r\n", () => socket.end()),
      (socket) => socket.end(get("/ok") + get("/ok")),
    ];
    const visit = (n: number) =>
      new Promise<void>((resolve) => {
        const socket = net.connect(port, "127.0.0.1", () => scripts[n % scripts.length]?.(socket));
        socket.on("error", () => {});
        socket.on("close", () => resolve());
        socket.resume();
      });
    let n = 0;
    const visitor = async () => {
      while (n < 10_000) await visit(n++);
    };
    await Promise.all(Array.from({ length: 100 }, visitor));
    begun.release();
    await expect.poll(() => server.info().connections, { timeout: 10_000 }).toBe(0);
    await expect.poll(() => ({ ...counts })).toEqual({ handling: 0, producing: 0 });
    expect(reports).toEqual([]);
    expect(server.info().accepted).toBeGreaterThan(5000);
  }, 60_000);
});
