// Early hints and trailers of fetch handlers, over HTTP/1.1 and HTTP/2.

import { Hono } from "hono";
import { cors } from "hono/cors";
import { describe, expect, test } from "vitest";
import { type FetchEnvironment, sendEarlyHints, setTrailers } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { answerOf, session } from "../http2-server/client.ts";
import { serveFetch } from "./serve-fetch.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const link = { link: "</style.css>; rel=preload; as=style" };

async function raw({ connect }: Awaited<ReturnType<typeof serveFetch>>): Promise<string> {
  const socket = await connect();
  await socket.send(get);
  const answer = await socket.receiveToEnd({ timeout: 5000 });
  await socket.close();
  return answer.toString("latin1");
}

const late = () =>
  new ReadableStream({
    async start(controller) {
      controller.enqueue("a");
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      controller.enqueue("b");
      controller.close();
    },
  });

describe("trailers", () => {
  test.each<[string, () => Response, string]>([
    ["text", () => new Response("ab"), "2\r\nab\r\n"],
    ["nothing", () => new Response(null), ""],
    ["a Blob", () => new Response(new Blob(["ab"])), "2\r\nab\r\n"],
    ["a stream", () => new Response(late()), "1\r\na\r\n1\r\nb\r\n"],
    ["a copy", () => new Response(new Response("ab").body, new Response("ab")), "2\r\nab\r\n"],
  ])("follow %s", async (_name, make, chunks) => {
    for (const overrideGlobals of [true, false]) {
      const served = await serveFetch(
        (request) => {
          setTrailers(request, () => ({ "x-sum": "3" }));
          return make();
        },
        { overrideGlobals },
      );
      expect(await raw(served)).toMatch(new RegExp(`\r\n\r\n${chunks}0\r\nx-sum: 3\r\n\r\n$`));
      expect(served.reports).toEqual([]);
    }
  });

  test("are made when the body is complete, behind any middleware", async () => {
    let sent = 0;
    const app = new Hono<{ Bindings: FetchEnvironment }>();
    app.use(cors());
    app.get("/", (c) => {
      setTrailers(c.env.mist, () => ({ "x-sent": String(sent) }));
      const counted = new TransformStream({
        transform(piece, controller) {
          sent += piece.length;
          controller.enqueue(piece);
        },
      });
      return c.body(late().pipeThrough(counted));
    });
    expect(await raw(await serveFetch(app.fetch))).toMatch(/0\r\nx-sent: 2\r\n\r\n$/);
  });

  test("follow over HTTP/2", async () => {
    const { url } = await serveFetch((request) => {
      setTrailers(request, () => ({ "x-sum": "3" }));
      return new Response(late());
    });
    const client = await session(url);
    const stream = client.request({ ":path": "/" });
    const trailers = new Promise((resolve) => stream.once("trailers", resolve));
    expect((await answerOf(stream)).body.toString()).toBe("ab");
    expect(await trailers).toMatchObject({ "x-sum": "3" });
  });

  test("of a handler that fails are not sent", async () => {
    const { connect } = await serveFetch((request) => {
      setTrailers(request, () => ({ "x-sum": "3" }));
      throw new Error("after all");
    });
    const socket = await connect();
    await socket.send(get);
    expect(String(await socket.receiveToEnd({ timeout: 5000 }))).not.toContain("x-sum");
    await socket.close();
  });
});

describe("early hints", () => {
  test.each([true, false])("go ahead of the response (overrideGlobals: %s)", async (overrideGlobals) => {
    const served = await serveFetch(
      (request, { mist: origin }) => {
        sendEarlyHints(request, link);
        sendEarlyHints(origin, { "x-second": "2" });
        return new Response("ab");
      },
      { overrideGlobals },
    );
    expect(await raw(served)).toMatch(
      /^HTTP\/1.1 103 Early Hints\r\nlink: .*\r\n\r\nHTTP\/1.1 103 Early Hints\r\nx-second: 2\r\n\r\nHTTP\/1.1 200 /,
    );
  });

  test("are too late behind the head", async () => {
    const failed: unknown[] = [];
    const served = await serveFetch((request) => {
      const body = new ReadableStream({
        async start(controller) {
          await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
          try {
            sendEarlyHints(request, link);
          } catch (error) {
            failed.push(error);
          }
          controller.close();
        },
      });
      return new Response(body);
    });
    await raw(served);
    expect(failed).toEqual([new mist.UsageError("the final response is already under way")]);
  });
});

test.each<[string, () => void, string]>([
  [
    "a request of somebody else",
    () => sendEarlyHints(new Request("http://a/"), link),
    "the request must be one that a fetch handler was given, or its mist request, got an object of class Request",
  ],
  [
    "no request",
    () => setTrailers(undefined as never, () => ({})),
    "the request must be one that a fetch handler was given, or its mist request, got undefined",
  ],
  [
    "trailers that are no function",
    () => setTrailers(new Request("http://a/"), { "x-sum": "3" } as never),
    "trailers must be a function, got an object",
  ],
])("%s is refused", (_name, call, message) => {
  expect(call).toThrow(new mist.UsageError(message));
});
