// `request.context` and `request.id`: what belongs to one request, wherever it is looked at.

import diagnostics_channel from "node:diagnostics_channel";
import { Hono } from "hono";
import { describe, expect, onTestFinished, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { serve } from "./serve.ts";

declare module "../../src/index.ts" {
  interface RequestContext {
    user?: string;
    seen?: string[];
  }
}

const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

async function started(
  handler: mist.Handler,
  configure: (builder: mist.Builder) => mist.Builder = (builder) => builder,
): Promise<mist.Server> {
  const server = await mist.test(configure(mist.new(handler).onError(() => {})));
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

/** What is published on a channel during the test. */
function listen<Event>(name: string): Event[] {
  const events: Event[] = [];
  const listener = (event: unknown) => void events.push(event as Event);
  diagnostics_channel.subscribe(name, listener);
  onTestFinished(() => void diagnostics_channel.unsubscribe(name, listener));
  return events;
}

describe("request.context", () => {
  test("is one object for all copies of a request, and another for every request", async () => {
    const contexts = new Set<mist.RequestContext>();
    const server = await started((request) => {
      expect(request.context).toEqual({});
      request.context.user = "ada";
      const copy = request.setHeader("a", "b").setPath("/c").setBody(undefined);
      expect(copy.context).toBe(request.context);
      contexts.add(request.context);
      return mist.text(copy.context.user ?? "nobody");
    });
    for (const httpVersion of [1, 1, 2, 2] as const)
      expect(await (await server.fetch("/", { httpVersion })).text()).toBe("ada");
    expect(contexts.size).toBe(4);
  });

  test("goes from the first event to the handler, a fetch app and the last event", async () => {
    const start = ({ request }: mist.RequestStartEvent) => {
      request.context.seen = ["start"];
    };
    diagnostics_channel.subscribe("mist:request:start", start as (event: unknown) => void);
    onTestFinished(
      () => void diagnostics_channel.unsubscribe("mist:request:start", start as (event: unknown) => void),
    );
    const ends = listen<mist.RequestEndEvent>("mist:request:end");
    const errors = listen<mist.RequestErrorEvent>("mist:request:error");
    const app = new Hono();
    app.get("/", (c) => {
      const { mist: request } = c.env as { mist: mist.Request };
      request.context.seen?.push("env");
      (c.executionCtx.props as mist.RequestContext).seen?.push("props");
      return c.text("ok");
    });
    const wrapped: mist.Handler = (request) => {
      request.context.seen?.push("handler");
      if (request.path === "/fail") throw new Error("no");
      return fromFetch(app.fetch)(request);
    };
    const { url, reports } = await serve(wrapped);
    await (await fetch(url)).text();
    await expect.poll(() => ends.length).toBe(1);
    expect(ends[0]!.request.context.seen).toEqual(["start", "handler", "env", "props"]);
    await (await fetch(`${url}/fail`)).text();
    await expect.poll(() => ends.length).toBe(2);
    expect(errors[0]!.request.context).toBe(ends[1]!.request.context);
    expect(reports[0]!.request?.context.seen).toEqual(["start", "handler"]);
  });
});

describe("request.id", () => {
  const showId = (request: mist.Request) => mist.text(request.id);
  const idOf = async (server: mist.Server, ...ids: string[]) =>
    (await server.fetch("/", { headers: ids.map((id) => ["x-request-id", id] as [string, string]) })).text();

  test("is made, and stays", async () => {
    const server = await started((request) => {
      expect(request.setPath("/other").id).toBe(request.id);
      return mist.text(request.id);
    });
    const first = await idOf(server);
    expect(first).toMatch(uuid);
    expect(await idOf(server)).not.toBe(first);
    expect(await idOf(server, "sent")).toMatch(uuid);
  });

  test.each([
    "7",
    "0b2f6c1a-8f0e-4c64-9f4e-0c9f5d1f2a3b",
    "Root=1-67891233-abcdef012345678912345678;Sampled=1",
    "YWJj+/==",
    "a".repeat(128),
  ])("is taken if it was asked for: %s", async (id) => {
    const server = await started(showId, (builder) => builder.withRequestId());
    expect(await idOf(server, id)).toBe(id);
  });

  test.each([
    ["nothing"],
    ["an empty one", ""],
    ["spaces", "a b"],
    ["quotes", 'a"b'],
    ["markup", "<b>"],
    ["a character that is none of ASCII", "\u00e4"],
    ["too long", "a".repeat(129)],
    ["two", "a", "b"],
  ])("is made in place of %s", async (_name, ...ids) => {
    const server = await started(showId, (builder) => builder.withRequestId());
    expect(await idOf(server, ...ids)).toMatch(uuid);
  });

  test("comes from another field, and another source", async () => {
    let made = 0;
    const make = () => `made-${++made}`;
    const server = await started(showId, (builder) => builder.withRequestId({ header: "X-Trace", make }));
    expect(await idOf(server, "ignored")).toBe("made-1");
    expect(await (await server.fetch("/", { headers: { "x-trace": "t" } })).text()).toBe("t");
    expect(made).toBe(1);
  });

  test("is not made where nobody asks for it", async () => {
    let made = 0;
    const make = () => `made-${++made}`;
    const server = await mist.serve({ memory: true, handler: () => mist.text("ok"), requestId: { make } });
    onTestFinished(() => server[Symbol.asyncDispose]());
    await (await server.fetch("/")).text();
    expect(made).toBe(0);
  });

  test("a source that gives no text is a failure of the handler", async () => {
    const server = await started(showId, (builder) => builder.withRequestId({ make: (() => 7) as never }));
    expect((await server.fetch("/")).status).toBe(500);
  });

  test("is the same for a fetch app and in events", async () => {
    const ends = listen<mist.RequestEndEvent>("mist:request:end");
    const handler = fromFetch((_request, { mist: below }, context) =>
      Response.json([below.id, context.requestId]),
    );
    const server = await started(handler, (builder) => builder.withRequestId());
    const response = await server.fetch("/", { headers: { "x-request-id": "r-1" } });
    expect(await response.json()).toEqual(["r-1", "r-1"]);
    await expect.poll(() => ends.at(-1)?.request.id).toBe("r-1");
  });
});
