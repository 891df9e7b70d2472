import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("sse-dashboard");
});
afterAll(() => program?.stop());

/** Reads the feed until `enough` events have come, then hangs up. */
async function read(
  enough: number,
  headers: Record<string, string> = {},
): Promise<{ id: number; data: unknown }[]> {
  const control = new AbortController();
  const response = await fetch(`${program.url}/feed`, { headers, signal: control.signal });
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of response.body!) {
    text += decoder.decode(piece, { stream: true });
    if (text.split("\n\n").length > enough) break;
  }
  control.abort();
  const events = text.split("\n\n").slice(0, enough);
  return events.map((event) => ({
    id: Number(/^id: ?(\d+)$/m.exec(event)?.[1]),
    data: JSON.parse(/^data: ?(.*)$/m.exec(event)?.[1] ?? "null"),
  }));
}

test("feeds samples with rising ids", async () => {
  const events = await read(2);
  expect(events[1]!.id).toBe(events[0]!.id + 1);
  expect(events[0]!.data).toMatchObject({ memoryMiB: expect.any(Number), delayMs: expect.any(Number) });
});

test("a browser that comes back gets what it missed, and nothing twice", async () => {
  const [first] = await read(3);
  const [next] = await read(1, { "last-event-id": String(first!.id) });
  expect(next!.id).toBe(first!.id + 1);
});

test("serves its page, and stops while a browser listens", async () => {
  expect(await (await fetch(program.url)).text()).toContain("<h1>");
  const open = await fetch(`${program.url}/feed`);
  expect(await program.stop()).toBe(0);
  await open.text();
});
