// `overrideGlobals: false`: nothing global is touched, and all the same holds.

import * as undici from "undici";
import { expect, test } from "vitest";
import { mistRequest } from "../../src/fetch/index.ts";
import { serveFetch } from "./serve-fetch.ts";

const globals = { Request, Response, fetch };

test("nothing global is touched", async () => {
  const { url } = await serveFetch(() => new Response("a"), { overrideGlobals: false });
  expect({ Request, Response, fetch }).toEqual(globals);
  expect(await (await fetch(url)).text()).toBe("a");
});

test("the request is Node's own", async () => {
  const { url } = await serveFetch(
    async (request, environment) => {
      const next = new Request(request, { headers: { a: "1" } });
      const origin = mistRequest(request) === environment.mist;
      return Response.json([request.constructor === Request, origin, request.url, await next.text()]);
    },
    { overrideGlobals: false },
  );
  const answer = await fetch(`${url}/a?b`, { method: "POST", body: "abc" });
  expect(await answer.json()).toEqual([true, true, `${url}/a?b`, "abc"]);
});

test("signal, streams and limits", async () => {
  const { url, reports } = await serveFetch(
    async (request) => Response.json([request.signal.aborted, await request.text()]),
    { overrideGlobals: false, maxBodyLimit: 4 },
  );
  const post = async (...pieces: string[]) => {
    const body = new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
        controller.close();
      },
    });
    const answer = await undici.fetch(url, { method: "POST", body, duplex: "half" });
    return answer.status === 200 ? await answer.json() : answer.status;
  };
  expect(await post("ab", "cd")).toEqual([false, "abcd"]);
  expect(await post("ab", "cd", "e")).toBe(413);
  expect(reports).toEqual([]);
});

test("the proxy goes through", async () => {
  const origin = await serveFetch(async (request) => new Response(`<${await request.text()}>`), {
    overrideGlobals: false,
  });
  const proxy = await serveFetch((request) => fetch(new Request(origin.url, request)), {
    overrideGlobals: false,
  });
  expect(await (await fetch(proxy.url, { method: "POST", body: "abc" })).text()).toBe("<abc>");
  expect((await fetch(proxy.url, { method: "HEAD" })).status).toBe(200);
});
