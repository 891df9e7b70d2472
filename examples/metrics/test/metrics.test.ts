import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
let metricsUrl: string;
beforeAll(async () => {
  program = await startProgram("metrics", { METRICS_PORT: "0" });
  metricsUrl = (await program.printed(/Metrics: \S+\n/)).slice("Metrics: ".length).trim();
});
afterAll(() => program?.stop());

const page = async () => await (await fetch(metricsUrl)).text();

test("counts requests by method, route and status", async () => {
  for (const id of [7, 8]) await (await fetch(`${program.url}/books/${id}`)).text();
  await (await fetch(`${program.url}/made-up`, { method: "PURGE" })).text();
  const text = await page();
  expect(text).toContain(
    'http_request_duration_seconds_count{method="GET",route="/books/:id",status="200"} 2',
  );
  expect(text).toContain('http_request_duration_seconds_count{method="other",route="other",status="404"} 1');
  expect(text).toMatch(/^http_response_bytes_total [1-9]\d*$/m);
  expect(text).toMatch(/^process_cpu_user_seconds_total /m);
});

test("tells how many requests were refused, and connections are open", async () => {
  const response = await fetch(`${program.url}/${"x".repeat(10_000)}`);
  expect(response.status).toBe(414);
  const text = await page();
  expect(text).toContain('http_requests_refused{status="414"} 1');
  expect(text).toMatch(/^http_connections \d+$/m);
});

test("is a page that Prometheus takes", async () => {
  const response = await fetch(metricsUrl);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  await response.text();
});

test("stops when it is told to", async () => {
  expect(await program.stop()).toBe(0);
});
