// `cors`: which scripts may read what (Fetch §3.2).

import { describe, expect, onTestFinished, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";

async function started(handler: mist.Handler): Promise<mist.Server> {
  const server = await mist.test(mist.new(handler).onError(() => {}));
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const app = "https://app.example";
const hello: mist.Handler = (request) => mist.text(`hello ${request.method}`);

/** The fields that matter, as lines. */
function cors(headers: Headers): string[] {
  return [...headers]
    .filter(([name]) => name.startsWith("access-control-") || name === "vary")
    .map(([name, value]) => `${name.replace("access-control-", "")}: ${value}`);
}

async function asked(
  options: mist.CorsOptions,
  headers: Record<string, string>,
  { method = "GET", handler = hello }: { method?: string; handler?: mist.Handler } = {},
) {
  const server = await started(mist.cors(handler, options));
  const response = await server.fetch("/", { method, headers });
  return { status: response.status, fields: cors(response.headers), body: await response.text() };
}

describe("a request", () => {
  test.each([
    [
      "of an origin in the list",
      { origins: [app] },
      { origin: app },
      [`allow-origin: ${app}`, "vary: origin"],
    ],
    ["of another", { origins: [app] }, { origin: "https://evil.example" }, ["vary: origin"]],
    ["of one that only begins alike", { origins: [app] }, { origin: `${app}.evil` }, ["vary: origin"]],
    ["of one over http", { origins: [app] }, { origin: "http://app.example" }, ["vary: origin"]],
    ["without an origin", { origins: [app] }, {}, ["vary: origin"]],
    ["of nobody's origin", { origins: [app] }, { origin: "null" }, ["vary: origin"]],
    ["of any origin", { origins: "*" }, { origin: "https://x.example" }, ["allow-origin: *"]],
    ["without an origin, for any", { origins: "*" }, {}, ["allow-origin: *"]],
    [
      "with credentials",
      { origins: [app], credentials: true },
      { origin: app },
      ["allow-credentials: true", `allow-origin: ${app}`, "vary: origin"],
    ],
    [
      "with credentials, of another",
      { origins: [app], credentials: true },
      { origin: "null" },
      ["vary: origin"],
    ],
    [
      "with fields to read",
      { origins: "*", exposed: ["X-Total", "link"] },
      { origin: app },
      ["allow-origin: *", "expose-headers: x-total, link"],
    ],
    [
      "that a function lets in",
      { origins: (origin) => origin.endsWith(".example") },
      { origin: app },
      [`allow-origin: ${app}`, "vary: origin"],
    ],
    [
      "that a function keeps out",
      { origins: (origin) => origin.endsWith(".test") },
      { origin: app },
      ["vary: origin"],
    ],
  ] as [string, mist.CorsOptions, Record<string, string>, string[]][])(
    "%s",
    async (_name, options, headers, expected) => {
      const { status, fields, body } = await asked(options, headers);
      expect([status, body]).toEqual([200, "hello GET"]);
      expect(fields).toEqual(
        expected.filter((line) => headers.origin !== undefined || line !== "allow-origin: *"),
      );
    },
  );

  test("keeps what the handler varies by, and replaces its fields", async () => {
    const handler: mist.Handler = () =>
      mist.text("a", { headers: { vary: "accept", "access-control-allow-origin": "*" } });
    const { fields } = await asked({ origins: [app] }, { origin: app }, { handler });
    expect(fields).toEqual([`allow-origin: ${app}`, "vary: accept, origin"]);
  });

  test("two origins are none", async () => {
    const server = await started(mist.cors(hello, { origins: [app] }));
    const headers: [string, string][] = [
      ["origin", app],
      ["origin", app],
    ];
    const socket = await server.connect();
    socket.end(`GET / HTTP/1.1\r\nhost: a\r\n${headers.map(([n, v]) => `${n}: ${v}\r\n`).join("")}\r\n`);
    let text = "";
    for await (const piece of socket) text += piece;
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(text).not.toContain("access-control");
  });

  test("of a promise, a fetch app, an event stream", async () => {
    for (const handler of [
      async () => mist.text("a"),
      fromFetch(() => new Response("a")),
      (request: mist.Request) =>
        mist.serverSentEvents({
          request,
          init: (stream) => void stream.sendEvent(mist.event("a")),
          loop: () => {},
        }),
    ] as mist.Handler[]) {
      const server = await started(mist.cors(handler, { origins: [app] }));
      const response = await server.fetch("/", { headers: { origin: app } });
      expect(response.headers.get("access-control-allow-origin")).toBe(app);
      const { value } = await response.body!.getReader().read();
      expect(String(Buffer.from(value!))).toContain("a");
    }
  });

  test.each([
    [
      "at once",
      () => {
        throw new mist.HttpError(404, { message: "no", headers: { "x-a": "1" } });
      },
    ],
    [
      "later",
      async () => {
        throw new mist.HttpError(404, { message: "no", headers: { "x-a": "1" } });
      },
    ],
  ] as [string, mist.Handler][])(
    "that fails with an HttpError %s can be read, too",
    async (_name, handler) => {
      const { status, fields, body } = await asked({ origins: [app] }, { origin: app }, { handler });
      expect([status, body]).toEqual([404, "no\n"]);
      expect(fields).toEqual([`allow-origin: ${app}`, "vary: origin"]);
    },
  );

  test("that fails otherwise is a failure like any other", async () => {
    const handler = () => {
      throw new Error("no");
    };
    expect((await asked({ origins: [app] }, { origin: app }, { handler })).status).toBe(500);
  });
});

describe("a preflight", () => {
  const ask = {
    origin: app,
    "access-control-request-method": "PUT",
    "access-control-request-headers": "x-a",
  };

  test("is answered without the handler", async () => {
    const handler = () => {
      throw new Error("called");
    };
    const { status, fields, body } = await asked({ origins: [app] }, ask, { method: "OPTIONS", handler });
    expect([status, body]).toEqual([204, ""]);
    expect(fields).toEqual([
      "allow-headers: authorization, content-type",
      "allow-methods: PUT, PATCH, DELETE",
      `allow-origin: ${app}`,
      "max-age: 600",
      "vary: origin",
    ]);
  });

  test("says what was allowed", async () => {
    const options: mist.CorsOptions = {
      ...{
        origins: [app],
        methods: ["QUERY"],
        headers: ["X-A"],
        credentials: true,
        maxAge: 0,
        exposed: ["x-b"],
      },
    };
    expect((await asked(options, ask, { method: "OPTIONS" })).fields).toEqual([
      "allow-credentials: true",
      "allow-headers: x-a",
      "allow-methods: QUERY",
      `allow-origin: ${app}`,
      "max-age: 0",
      "vary: origin",
    ]);
    const least: mist.CorsOptions = { origins: "*", methods: [], headers: [] };
    expect((await asked(least, ask, { method: "OPTIONS" })).fields).toEqual([
      "allow-origin: *",
      "max-age: 600",
    ]);
  });

  test("of another origin is told nothing", async () => {
    const headers = { ...ask, origin: "https://evil.example" };
    expect(await asked({ origins: [app], credentials: true }, headers, { method: "OPTIONS" })).toEqual({
      ...{ status: 204, fields: ["vary: origin"], body: "" },
    });
  });

  test.each([
    ["no origin", { "access-control-request-method": "PUT" }],
    ["no method", { origin: app }],
  ])("is none with %s: the handler answers OPTIONS", async (_name, headers) => {
    const { body } = await asked({ origins: [app] }, headers as Record<string, string>, {
      method: "OPTIONS",
    });
    expect(body).toBe("hello OPTIONS");
  });
});

test("a WebSocket opens as before", async () => {
  const handler: mist.Handler = (request) =>
    mist.websocket({ request, onInit: (socket) => void socket.sendText("open"), handler: () => undefined });
  const server = await started(mist.cors(handler, { origins: [app] }));
  await using socket = await server.websocket("/", { headers: { origin: "https://evil.example" } });
  expect(await socket.receive()).toBe("open");
});

describe("refuses", () => {
  const any = (value: unknown) => value as never;
  test.each([
    [
      "no handler",
      () => mist.cors(any(1), { origins: "*" }),
      "the handler given to cors must be a function, got 1",
    ],
    ["no options", () => mist.cors(hello, any(undefined)), "the options of cors must be an object"],
    [
      "no origins",
      () => mist.cors(hello, any({})),
      'origins must be "*", a list or a function, got undefined',
    ],
    ["an origin as text", () => mist.cors(hello, any({ origins: app })), 'origins must be "*", a list'],
    ["a path", () => mist.cors(hello, { origins: [`${app}/`] }), "an origin must be like"],
    ["no scheme", () => mist.cors(hello, { origins: ["app.example"] }), "an origin must be like"],
    ["a default port", () => mist.cors(hello, { origins: [`${app}:443`] }), "an origin must be like"],
    ["an asterisk in the list", () => mist.cors(hello, { origins: ["*"] }), "an origin must be like"],
    [
      "any with credentials",
      () => mist.cors(hello, { origins: "*", credentials: true }),
      "credentials need origins",
    ],
    [
      "credentials: 1",
      () => mist.cors(hello, { origins: "*", credentials: any(1) }),
      "credentials must be true or false",
    ],
    ["maxAge", () => mist.cors(hello, { origins: "*", maxAge: -1 }), "maxAge must be a number of seconds"],
    [
      "methods",
      () => mist.cors(hello, { origins: "*", methods: any("PUT") }),
      'methods must be a list, got "PUT"',
    ],
    ["a field name", () => mist.cors(hello, { origins: "*", headers: ["a b"] }), "must be a token"],
    ["misspelt", () => mist.cors(hello, any({ origins: "*", origin: "*" })), "origin"],
  ])("%s", (_name, call, message) => {
    expect(call).toThrow(mist.UsageError);
    expect(call).toThrow(message);
  });

  test("a promise for whether an origin is welcome", async () => {
    const origins = any(async () => false);
    expect((await asked({ origins }, { origin: app })).status).toBe(500);
  });

  test("origins of schemes that apps bring", () => {
    expect(() => mist.cors(hello, { origins: ["capacitor://localhost", "null"] })).not.toThrow();
  });
});
