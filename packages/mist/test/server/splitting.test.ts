// Nothing a handler says can end its line, its head or its message before the server does (RFC 9110 §5.5, RFC 9112 §11.1).

import { describe, expect, it } from "vitest";
import { Response } from "../../src/http/response.ts";
import * as mist from "../../src/index.ts";
import { serve, statuses } from "./serve.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const ok = () => mist.response(200).setBody(mist.bytes("ok"));

const values = [
  "a\r\nx-evil: 1",
  "a\nx-evil: 1",
  "a\rx-evil: 1",
  "a\r\n\r\nHTTP/1.1 200 OK\r\nx-evil: 1\r\n\r\n",
  "a\0b",
  "a\x7fb",
  "snow ☃",
  "\u560d\u560ax-evil: 1",
];
const names = ["x\r\nx-evil", "x y", "x:", "", "x\0", "é", "x\n"];

type Say = (request: mist.Request, name: string, value: string) => mist.ServerResponse;

const ways: readonly (readonly [string, Say])[] = [
  ["setHeader", (_, name, value) => ok().setHeader(name, value)],
  ["appendHeader", (_, name, value) => ok().appendHeader(name, value)],
  ["prependHeader", (_, name, value) => ok().prependHeader(name, value)],
  [
    "a field added behind the server's back",
    (_, name, value) => {
      const response = ok().setHeader("a", "b");
      (response.headers as [string, string][]).push([name, value]);
      return response;
    },
  ],
  ["a Response made by hand", (_, name, value) => new Response(200, [[name, value]], mist.bytes("ok"))],
  [
    "an informational response",
    (request, name, value) => {
      mist.sendInformational(request, 103, [[name, value]]);
      return ok();
    },
  ],
];

describe.each(ways)("%s", (_, say) => {
  it.each(values)("refuses the value %j", async (value) => {
    const { ask, reports } = await serve((request) => say(request, "x", value));
    const answer = await ask(get);
    expect(answer).not.toContain("evil");
    expect(statuses(answer)).toEqual([500]);
    expect(reports[0]?.error).toBeInstanceOf(mist.UsageError);
  });

  it.each(names)("refuses the name %j", async (name) => {
    const { ask, reports } = await serve((request) => say(request, name, "1"));
    const answer = await ask(get);
    expect(answer).not.toContain("evil");
    expect(statuses(answer)).toEqual([500]);
    expect(reports[0]?.error).toBeInstanceOf(mist.UsageError);
  });
});

describe("framing fields by the back door", () => {
  it.each([
    ["Content-Length", "1"],
    ["CONTENT-LENGTH", "1"],
    ["Transfer-Encoding", "gzip"],
    ["TRANSFER-ENCODING", "identity"],
    ["content-length", "2, 2"],
    ["connection", "close\r\nx-evil: 1"],
    ["Connection", "x y"],
  ])("%s: %s is refused", async (name, value) => {
    const { ask, reports } = await serve(() => new Response(200, [[name, value]], mist.bytes("ok")));
    const answer = await ask(get);
    expect(answer).not.toContain("evil");
    expect(statuses(answer)).toEqual([500]);
    expect(reports).toHaveLength(1);
  });

  it.each(["content-length", "transfer-encoding"])(
    "%s in an informational response is refused",
    async (name) => {
      const { ask } = await serve((request) => {
        mist.sendInformational(request, 103, [[name, "5"]]);
        return ok();
      });
      expect(statuses(await ask(get))).toEqual([500]);
    },
  );
});

describe("trailers", () => {
  const trailing = (trailers: readonly (readonly [string, string])[]) =>
    mist
      .response(200)
      .setBody(mist.chunked(["ok"]))
      .withTrailers(() => trailers);

  it.each([
    ...values.map((value) => ["x", value]),
    ...names.map((name) => [name, "1"]),
    ["content-length", "5"],
    ["set-cookie", "a=b"],
  ])("refuse %j: %j, and the message is broken off", async (name, value) => {
    const { ask, reports } = await serve(() => trailing([[name as string, value as string]]));
    const answer = await ask(get);
    expect(answer).not.toContain("evil");
    expect(answer).not.toContain("\r\n0\r\n");
    expect(reports[0]?.error).toBeInstanceOf(mist.UsageError);
  });
});

describe("statuses", () => {
  it.each([0, 99, 100, 101, 199, 600, 999, 200.5, Number.NaN, "200\r\nx-evil: 1"])(
    "%j is no final status",
    (status) => {
      expect(() => mist.response(status as number)).toThrow(mist.UsageError);
      expect(() => ok().setStatus(status as number)).toThrow(mist.UsageError);
    },
  );

  it.each([0, 200, "200 OK\r\nx-evil: 1", 1e9])("%j by hand is answered 500", async (status) => {
    const { ask } = await serve(() => new Response(status as number, [], mist.bytes("ok")));
    const answer = await ask(get);
    expect(answer).not.toContain("evil");
    expect(statuses(answer)).toEqual([status === 200 ? 200 : 500]);
  });

  it.each([99, 101, 200, 204, Number.NaN])("%j is no informational status", async (status) => {
    const { ask } = await serve((request) => {
      mist.sendInformational(request, status, []);
      return ok();
    });
    expect(statuses(await ask(get))).toEqual([500]);
  });
});

describe("what is said too late", () => {
  it("an informational response behind the final one is refused at the call", async () => {
    let told: unknown;
    const { ask } = await serve((request) => {
      setImmediate(() => {
        try {
          mist.sendInformational(request, 103, []);
        } catch (error) {
          told = error;
        }
      });
      return ok();
    });
    expect(statuses(await ask(get))).toEqual([200]);
    await expect.poll(() => told).toBeInstanceOf(mist.UsageError);
  });
});
