// What a failure is answered with: errors with a status of their own, the user's own pages, and requests that were
// refused before they became one.

import diagnostics_channel from "node:diagnostics_channel";
import { describe, expect, it, onTestFinished } from "vitest";
import * as mist from "../../src/index.ts";
import { readAnswer, serve, statuses } from "./serve.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const throwing = (error: unknown) => () => {
  throw error;
};

describe("HttpError", () => {
  it("is the response: status, message, headers; the connection goes on, and nobody is told", async () => {
    const error = new mist.HttpError(429, { message: "slow down", headers: { "Retry-After": "7" } });
    const { connect, reports } = await serve(throwing(error));
    const socket = await connect();
    for (let i = 0; i < 2; i++) {
      await socket.send(get);
      const { status, headers, body } = await readAnswer(socket);
      expect([status, headers.get("retry-after"), headers.get("connection"), body]).toEqual([
        429,
        "7",
        undefined,
        "slow down\n",
      ]);
    }
    expect(reports).toEqual([]);
  });

  it("without a message says the status", async () => {
    const { ask } = await serve(throwing(new mist.HttpError(404)));
    expect(await ask(get)).toContain("\r\n\r\n404 Not Found\n");
  });

  it("from 500 on is reported, and its message is not for the client", async () => {
    const error = new mist.HttpError(503, { message: "db-7 is down", headers: [["retry-after", "1"]] });
    const { ask, reports } = await serve(throwing(error));
    const answer = await ask(get);
    expect(answer).toMatch(
      /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*\r\n\r\n503 Service Unavailable\n$/,
    );
    expect(reports).toMatchObject([{ error, during: "handler" }]);
  });

  it("keeps its cause", () => {
    const cause = new Error("inside");
    expect(new mist.HttpError(500, { cause }).cause).toBe(cause);
    expect("cause" in new mist.HttpError(500)).toBe(false);
  });

  it.each([200, 399, 600, 404.5, Number.NaN])("cannot have the status %s", (status) => {
    expect(() => new mist.HttpError(status)).toThrow(mist.UsageError);
  });

  it("cannot have a malformed field", () => {
    expect(() => new mist.HttpError(400, { headers: { x: "a\r\nb: c" } })).toThrow(mist.UsageError);
  });
});

describe("any error that carries a status", () => {
  it.each([
    [{ status: 404 }, 404],
    [Object.assign(new Error("no"), { status: 418 }), 418],
    [Object.assign(new Error("no"), { status: 503 }), 503],
    [{ status: 200 }, 500],
    [{ status: 600 }, 500],
    [{ status: "404" }, 500],
    [{ status: 404.5 }, 500],
    [new Error("no"), 500],
    ["text", 500],
    [undefined, 500],
    [null, 500],
  ])("%o: %i", async (error, status) => {
    const { ask, reports } = await serve(throwing(error));
    const answer = await ask(get);
    expect(statuses(answer)).toEqual([status]);
    expect(reports).toHaveLength(status < 500 ? 0 : 1);
  });
});

const own = (status: number) => mist.response(status).setBody(mist.bytes(`our page for ${status}`));

const refused: [name: string, status: number, section: string, request: string][] = [
  ["no Host", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\n\r\n"],
  ["a backslash in the target", 400, "RFC 9112 §3.2", "GET /a\\b HTTP/1.1\r\nhost: a\r\n\r\n"],
  ["a target too long", 414, "RFC 9112 §3", `GET /${"a".repeat(9000)} HTTP/1.1\r\nhost: a\r\n\r\n`],
  ["another expectation", 417, "RFC 9110 §10.1.1", "GET / HTTP/1.1\r\nhost: a\r\nexpect: x\r\n\r\n"],
  ["a head too long", 431, "RFC 6585 §5", `GET / HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(20_000)}\r\n\r\n`],
  ["CONNECT", 501, "RFC 9110 §9.3.6", "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"],
  ["another version", 505, "RFC 9110 §15.6.6", "GET / HTTP/1.2\r\nhost: a\r\n\r\n"],
];

describe("onFailure", () => {
  it("makes the page for what the handler throws", async () => {
    const error = new Error("inside");
    const seen: unknown[] = [];
    const { ask, reports } = await serve(throwing(error), (builder) =>
      builder.onFailure((given, request) => {
        seen.push(given, request?.path);
        return own(500);
      }),
    );
    const answer = await ask(get);
    expect(answer).toMatch(/^HTTP\/1\.1 500 [\s\S]*connection: close\r\n[\s\S]*our page for 500$/);
    expect(seen).toEqual([error, "/"]);
    expect(reports).toMatchObject([{ error, during: "handler" }]);
  });

  it("leaves the connection open behind an HttpError", async () => {
    const { connect } = await serve(throwing(new mist.HttpError(404)), (builder) =>
      builder.onFailure(() => own(404)),
    );
    const socket = await connect();
    for (let i = 0; i < 2; i++) {
      await socket.send(get);
      expect(await readAnswer(socket)).toMatchObject({ status: 404, body: "our page for 404" });
    }
  });

  it.each(refused)(
    "makes the page for a request that is refused: %s",
    async (_name, status, _section, request) => {
      const { ask } = await serve(
        () => own(200),
        (builder) =>
          builder.onFailure((error, given) => {
            expect(given).toBeUndefined();
            return own((error as mist.ProtocolError).status as number).setHeader("x-page", "ours");
          }),
      );
      const answer = await ask(request);
      expect(statuses(answer)).toEqual([status]);
      expect(answer).toContain("x-page: ours\r\n");
      expect(answer).toContain("connection: close\r\n");
      expect(answer.endsWith(`our page for ${status}`)).toBe(true);
    },
  );

  it.each<[string, () => unknown]>([
    ["throws", throwing(new Error("page"))],
    ["returns nothing", () => undefined],
    ["returns a body that is not all there", () => mist.response(500).setBody(mist.chunked(["a"]))],
    ["returns a promise", () => Promise.resolve(own(500))],
  ])("that %s is reported once, and the default is sent", async (_, onFailure) => {
    const { ask, reports } = await serve(throwing(new mist.HttpError(409)), (builder) =>
      builder.onFailure(onFailure as mist.FailureHandler),
    );
    expect(await ask(get)).toContain("\r\n\r\n409 Conflict\n");
    expect(reports.map(({ during }) => during)).toEqual(["failure"]);
  });

  it("that makes a response that cannot be sent is reported once, and the default is sent", async () => {
    const { ask, reports } = await serve(throwing(new mist.HttpError(409)), (builder) =>
      builder.onFailure(() => own(409).setHeader("content-length", "1")),
    );
    const answer = await ask(get);
    expect(statuses(answer)).toEqual([409]);
    expect(answer).toContain("\r\n\r\n409 Conflict\n");
    expect(reports.map(({ during }) => during)).toEqual(["failure"]);
  });

  it("that makes a response to a refusal that cannot be sent is reported once, and the default is sent", async () => {
    const { ask, reports } = await serve(
      () => own(200),
      (builder) => builder.onFailure(() => own(400).setHeader("content-length", "1")),
    );
    const answer = await ask("GET / HTTP/1.1\r\n\r\n");
    expect(answer).toContain("\r\n\r\n400 Bad Request\n");
    expect(reports.map(({ during }) => during)).toEqual(["failure"]);
  });

  it("must be a function", () => {
    const builder = mist.new(() => own(200));
    expect(() => builder.onFailure({} as mist.FailureHandler)).toThrow(mist.UsageError);
  });
});

describe("mist:request:refused", () => {
  function refusals(): mist.RequestRefusedEvent[] {
    const events: mist.RequestRefusedEvent[] = [];
    const hear = (event: unknown) => void events.push(event as mist.RequestRefusedEvent);
    diagnostics_channel.subscribe("mist:request:refused", hear);
    onTestFinished(() => void diagnostics_channel.unsubscribe("mist:request:refused", hear));
    return events;
  }

  it.each(refused)("is published for %s", async (_name, status, section, request) => {
    const events = refusals();
    const { ask, port } = await serve(() => own(200));
    await ask(request);
    expect(events).toMatchObject([{ status, section, address: { local: { port } } }]);
    expect(events[0]?.error).toBeInstanceOf(mist.ProtocolError);
  });

  it.each(refused)(
    "is counted for %s, of which nobody need hear",
    async (_name, status, _section, request) => {
      const { ask, server } = await serve(() => own(200));
      expect(server.info()).toMatchObject({ refused: 0, refusedBy: {} });
      await ask(get);
      await ask(request);
      await ask(request);
      expect(server.info()).toMatchObject({ refused: 2, refusedBy: { [status]: 2 } });
    },
  );

  it("is published for a head that does not come in time", async () => {
    const events = refusals();
    const { connect, server } = await serve(
      () => own(200),
      (builder) => builder.withDeadlines({ headMs: 100 }),
    );
    const socket = await connect();
    await socket.send("GET / HT");
    expect((await readAnswer(socket)).status).toBe(408);
    expect(server.info().refusedBy).toEqual({ 408: 1 });
    expect(events).toMatchObject([
      { status: 408, section: undefined, error: { name: "RequestTimeoutError" } },
    ]);
  });
});
