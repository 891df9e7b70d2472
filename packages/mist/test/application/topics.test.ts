// Topics on real sockets: WebSockets, event streams and chunked streams, in one process.

import { Buffer } from "node:buffer";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "../server/serve.ts";
import { close, text } from "../websocket/client-frames.ts";
import { deferred, echo, open, type RawClient } from "./websocket-peer.ts";

async function room(options: mist.TopicsOptions = {}) {
  const topics = mist.topics(options);
  const left = deferred();
  const served = await serve(
    echo({
      onInit: (websocket) => void topics.join(websocket, "room"),
      handler: (_state, message) => {
        if (message.type === "text") topics.publish("room", message.data);
      },
      onClose: () => left.resolve(),
    }),
  );
  return { topics, left: left.promise, join: () => open(served) };
}

const texts = async (client: RawClient, count: number): Promise<string[]> => {
  const got: string[] = [];
  while (got.length < count) got.push(await client.text());
  return got;
};

/** An event stream or chunked response, read as text. */
async function read(url: string, headers: Record<string, string> = {}) {
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const response = await fetch(url, { headers, signal: leaving.signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let got = "";
  return {
    leave: () => leaving.abort(),
    /** What has come since, as soon as it ends with `end`. */
    async until(end: string): Promise<string> {
      while (!got.endsWith(end)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`the stream ended with ${JSON.stringify(got)}`);
        got += value;
      }
      const all = got;
      got = "";
      return all;
    },
    rest: async (): Promise<void> => {
      while (!(await reader.read()).done);
    },
  };
}

/** A server of event streams that join the topic their path names. */
async function feed(topics: mist.Topics, joined: (replay: mist.Replay) => void = () => {}) {
  return serve((request) =>
    mist.serverSentEvents({
      request,
      init: async (stream) => joined(await topics.join(stream, request.path).replay),
      loop: () => undefined,
    }),
  );
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Ids of the events in a stream's text, in order. */
const idsOf = (events: string): string[] => Array.from(events.matchAll(/^id: (.*)$/gm), ([, id]) => id!);
const dataOf = (events: string): string[] =>
  Array.from(events.matchAll(/^data: (.*)$/gm), ([, data]) => data!);

describe("WebSockets in a topic", () => {
  test("all hear everything, in order", async () => {
    const { topics, join } = await room();
    const clients = await Promise.all([join(), join(), join()]);
    await clients[0]!.send(text("one"), text("two"));
    for (const client of clients) expect(await texts(client, 2)).toEqual(["one", "two"]);
    expect(topics.size("room")).toBe(3);
    expect(topics.members("room")).toHaveLength(3);
    expect(topics.publish("room", Buffer.from([7]))).toBe(3);
    for (const client of clients)
      expect(await client.frame()).toMatchObject({ opcode: 2, payload: Buffer.from([7]) });
  });

  test("who is gone has left, and is not sent to", async () => {
    const { topics, join, left } = await room();
    const [staying, leaving] = [await join(), await join()];
    await leaving.send(close());
    await left;
    expect(topics.size("room")).toBe(1);
    expect(topics.publish("room", "x")).toBe(1);
    expect(await staying.text()).toBe("x");
  });

  test("who is cut off has left", async () => {
    const { topics, join, left } = await room();
    const [, leaving] = [await join(), await join()];
    await leaving.socket.close();
    await left;
    expect(topics.size("room")).toBe(1);
  });

  test("a hundred hear all in order, with what is meant for one of them in its place", async () => {
    const topics = mist.topics();
    const sockets: mist.WebSocket[] = [];
    const served = await serve(
      echo({
        onInit: (websocket) => {
          sockets.push(websocket);
          topics.join(websocket, "room");
        },
      }),
    );
    const clients = [];
    for (let i = 0; i < 100; i++) clients.push(await open(served));
    for (let i = 0; i < 10; i++) {
      topics.publish("room", `${i}`);
      // Some share a tick, some a turn of the event loop, and some neither.
      if (i === 2) sockets[0]!.sendText("only you");
      if (i === 3) await Promise.resolve();
      if (i > 4) await turn();
    }
    for (const socket of sockets) socket.close(1000, "");
    const all = Array.from({ length: 10 }, (_, i) => `${i}`);
    expect(await texts(clients[0]!, 11)).toEqual(all.toSpliced(3, 0, "only you"));
    for (const client of clients.slice(1)) expect(await texts(client, 10)).toEqual(all);
    for (const client of clients) expect(await client.frame()).toMatchObject({ opcode: 8 });
  });

  test("topics are apart, can be joined once, and can be left", async () => {
    const topics = mist.topics();
    const leaves: (() => void)[] = [];
    const served = await serve((request) =>
      echo({
        onInit: (websocket) => {
          leaves.push(topics.join(websocket, request.path).leave);
          topics.join(websocket, request.path);
        },
      })(request),
    );
    const client = await open(served);
    expect(topics.publish("/other", "elsewhere")).toBe(0);
    expect(topics.publish("/", "here")).toBe(1);
    expect(await client.text()).toBe("here");
    leaves[0]!();
    expect(topics.publish("/", "gone")).toBe(0);
    expect(topics.size("/")).toBe(0);
  });

  test("all but those excepted hear it", async () => {
    const topics = mist.topics();
    const sockets: mist.WebSocket[] = [];
    const served = await serve(
      echo({
        onInit: (websocket) => {
          sockets.push(websocket);
          topics.join(websocket, "room");
        },
      }),
    );
    const clients = [await open(served), await open(served), await open(served)];
    const [first, second] = sockets as [mist.WebSocket, mist.WebSocket];
    expect(topics.publish("room", "a", { except: first })).toBe(2);
    expect(topics.publish("room", "b", { except: [first, second] })).toBe(1);
    topics.publish("room", "c");
    expect(await texts(clients[0]!, 1)).toEqual(["c"]);
    expect(await texts(clients[1]!, 2)).toEqual(["a", "c"]);
    expect(await texts(clients[2]!, 3)).toEqual(["a", "b", "c"]);
  });

  test("frames can be made with topic and id, once for all", async () => {
    let made = 0;
    const topics = mist.topics({
      replay: 10,
      frame: ({ topic, data, id }) => {
        made++;
        return JSON.stringify({ topic, data, id });
      },
    });
    const joined: mist.Replay[] = [];
    const served = await serve((request) =>
      echo({
        onInit: async (websocket) => {
          const after = new URLSearchParams(request.query).get("after") ?? undefined;
          joined.push(await topics.join(websocket, "room", { after }).replay);
        },
      })(request),
    );
    const clients = [await open(served), await open(served)];
    while (topics.size("room") < 2) await turn();
    topics.publish("room", "one");
    expect(made).toBe(1);
    const first = JSON.parse(await clients[0]!.text());
    expect(first).toMatchObject({ topic: "room", data: "one" });
    expect(JSON.parse(await clients[1]!.text())).toEqual(first);
    topics.publish("room", "two");
    topics.publish("room", mist.event("three").eventName("news"));
    const back = await fetchWebSocket(served.port, `/?after=${encodeURIComponent(first.id)}`);
    expect([JSON.parse(await back.next()).data, JSON.parse(await back.next()).data]).toEqual([
      "two",
      "three",
    ]);
    expect(joined.at(-1)).toEqual({ messages: 2, complete: true });
  });

  test.each<[mist.SlowClientPolicy, number[]]>([
    ["drop-oldest", [7, 8, 9]],
    ["drop-newest", [1, 2, 3]],
  ])("a client too slow: %s", async (slowClient, kept) => {
    const { topics, join } = await room({ maxQueue: 3, slowClient, maxMessageBytes: 8_000_000 });
    const [slow, quick] = [await join(), await join()];
    // More than the sockets hold, so that the slow client is behind; then small messages that must wait.
    const filler = Buffer.alloc(8_000_000);
    topics.publish("room", filler);
    expect((await quick.frame()).payload.length).toBe(filler.length);
    for (let i = 1; i <= 9; i++) {
      topics.publish("room", `${i}`);
      expect(await quick.text()).toBe(`${i}`);
    }
    expect(topics.dropped).toBe(6);
    expect((await slow.frame()).payload.length).toBe(filler.length);
    expect(await texts(slow, 3)).toEqual(kept.map(String));
  });

  test("a client too slow is closed with 1013, where that is the policy", async () => {
    const { topics, join } = await room({ maxQueue: 2, slowClient: "close", maxMessageBytes: 8_000_000 });
    const slow = await join();
    topics.publish("room", Buffer.alloc(8_000_000));
    for (let i = 0; i < 3; i++) topics.publish("room", "x");
    expect(topics.size("room")).toBe(0);
    expect((await slow.frame()).payload.length).toBe(8_000_000);
    expect(await slow.close()).toBe(1013);
  });

  test("nothing is said behind close, and nobody joins", async () => {
    const { topics, join } = await room();
    const client = await join();
    topics.publish("room", "last");
    await topics.close();
    expect(topics.state).toBe("closed");
    expect(topics.size("room")).toBe(0);
    expect(topics.publish("room", "never")).toBe(0);
    expect(await client.text()).toBe("last");
    expect(() => topics.join({} as never, "room")).toThrow("the topics are closed");
  });
});

/** A WebSocket of the client in Node's place: undici's. */
async function fetchWebSocket(port: number, path: string) {
  const { WebSocket } = await import("undici");
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  onTestFinished(() => socket.close());
  const waiting: string[] = [];
  let wake: () => void = () => {};
  socket.onmessage = ({ data }: { data: unknown }) => {
    waiting.push(String(data));
    wake();
  };
  return {
    async next(): Promise<string> {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return waiting.shift()!;
    },
  };
}

describe("event streams and chunked streams in a topic", () => {
  test("members of all kinds hear the same", async () => {
    const topics = mist.topics();
    const served = await serve((request) => {
      if (request.path === "/ws")
        return echo({ onInit: (socket) => void topics.join(socket, "all") })(request);
      if (request.path === "/events")
        return mist.serverSentEvents({
          request,
          init: (stream) => void topics.join(stream, "all"),
          loop: () => undefined,
        });
      return mist.chunked({
        request,
        response: mist.response(200),
        init: (stream) => void topics.join(stream, "all"),
        loop: () => undefined,
      });
    });
    const socket = await fetchWebSocket(served.port, "/ws");
    const events = await read(`${served.url}/events`);
    const chunks = await read(`${served.url}/chunks`);
    while (topics.size("all") < 3) await turn();
    topics.publish("all", "grüße");
    topics.publish("all", mist.event("two\nlines").eventName("news").eventRetry(5));
    topics.publish("all", Buffer.from("bytes"));
    expect([await socket.next(), await socket.next()]).toEqual(["grüße", "two\nlines"]);
    expect(await events.until("Ynl0ZXM=\n\n")).toBe(
      "data: grüße\n\nevent: news\nretry: 5\ndata: two\ndata: lines\n\ndata: Ynl0ZXM=\n\n",
    );
    expect(await chunks.until("bytes")).toBe("grüßetwo\nlinesbytes");
  });

  test("who leaves, or is told that the server stops, has left", async () => {
    const topics = mist.topics();
    const { server, url } = await feed(topics);
    const [leaving, staying] = [await read(url), await read(url)];
    while (topics.size("/") < 2) await turn();
    leaving.leave();
    while (topics.size("/") > 1) await turn();
    const stopped = server.stop({ deadlineMs: 5000 });
    await staying.rest();
    await stopped;
    expect(topics.size("/")).toBe(0);
  });

  test("a client that comes back is sent what it has missed, and nothing twice", async () => {
    const topics = mist.topics({ replay: 100 });
    const { url } = await feed(topics);
    const stream = await read(url);
    while (topics.size("/") < 1) await turn();
    topics.publish("/", "1");
    topics.publish("/", "2");
    const [first, second] = idsOf(await stream.until("data: 2\n\n"));
    stream.leave();
    while (topics.size("/") > 0) await turn();
    topics.publish("/", "3");
    const back = await read(url, { "last-event-id": second! });
    while (topics.size("/") < 1) await turn();
    topics.publish("/", "4");
    expect(dataOf(await back.until("data: 4\n\n"))).toEqual(["3", "4"]);
    const late = await read(url, { "last-event-id": first! });
    expect(dataOf(await late.until("data: 4\n\n"))).toEqual(["2", "3", "4"]);
  });

  test("one id stands for all topics of a stream", async () => {
    const topics = mist.topics({ replay: 100 });
    const { url } = await serve((request) =>
      mist.serverSentEvents({
        request,
        init: (stream) => {
          topics.join(stream, "a");
          topics.join(stream, "b");
        },
        loop: () => undefined,
      }),
    );
    const stream = await read(url);
    while (topics.size("b") < 1) await turn();
    for (const [topic, data] of ["a1", "b2", "a3"].map((data) => [data[0]!, data]))
      topics.publish(topic!, data!);
    const ids = idsOf(await stream.until("data: a3\n\n"));
    stream.leave();
    while (topics.size("a") > 0) await turn();
    topics.publish("b", "b4");
    const back = await read(url, { "last-event-id": ids[1]! });
    expect(dataOf(await back.until("data: b4\n\n"))).toEqual(["a3", "b4"]);
  });

  test.each([
    ["too old", 101, false],
    ["just old enough", 100, true],
  ])("an id that is %s", async (_what, count, complete) => {
    const topics = mist.topics({ replay: 100 });
    const replays: mist.Replay[] = [];
    const { url } = await feed(topics, (replay) => replays.push(replay));
    const stream = await read(url);
    while (topics.size("/") < 1) await turn();
    topics.publish("/", "0");
    const [id] = idsOf(await stream.until("data: 0\n\n"));
    stream.leave();
    while (topics.size("/") > 0) await turn();
    for (let i = 1; i <= count; i++) topics.publish("/", `${i}`);
    const back = await read(url, { "last-event-id": id! });
    const got = await back.until(`data: ${count}\n\n`);
    expect(got.startsWith("event: gap\ndata: /\n\n")).toBe(!complete);
    expect(replays.at(-1)).toEqual({ messages: 100, complete });
  });

  test.each(["nonsense", "AAAAAAAA.zzzzzzzzzzz", "AAAAAAAA.1", "~", `${"AAAAAAAA.1~".repeat(70)}AAAAAAAA.1`])(
    "the id %s of nobody's signals a gap",
    async (id) => {
      const topics = mist.topics({ replay: 100 });
      const { url } = await feed(topics);
      const stream = await read(url, { "last-event-id": id });
      expect(await stream.until("\n\n")).toBe("event: gap\ndata: /\n\n");
      topics.publish("/", "x");
      expect(await stream.until("data: x\n\n")).toMatch(/^id: \S+\ndata: x\n\n$/);
    },
  );

  test("a topic goes on for a while without members, and then goes", async () => {
    const topics = mist.topics({ replay: { messages: 10, keepMs: 20 } });
    const replays: mist.Replay[] = [];
    const { url } = await feed(topics, (replay) => replays.push(replay));
    const stream = await read(url);
    while (topics.size("/") < 1) await turn();
    topics.publish("/", "0");
    const [id] = idsOf(await stream.until("data: 0\n\n"));
    stream.leave();
    while (topics.size("/") > 0) await turn();
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Nothing was published since: nothing was missed, though nothing is kept.
    await read(url, { "last-event-id": id! });
    while (replays.length < 2) await turn();
    expect(replays[1]).toEqual({ messages: 0, complete: true });
  });
});
