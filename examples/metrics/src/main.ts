// Metrics for Prometheus, by prom-client: one page on a port of its own, which the outside need not reach.

import * as mist from "@x/mist";
import { Counter, collectDefaultMetrics, Gauge, Histogram, register } from "prom-client";

const server = await mist
  .new((request) => {
    if (routeOf(request) === "/books/:id") return mist.json({ id: request.pathSegments[1] });
    if (request.path === "/") return mist.text("Try /books/7, then the page of metrics.\n");
    return mist.text("nothing here\n", { status: 404 });
  })
  .port(Number(process.env["PORT"] ?? 4012))
  .start();

const duration = new Histogram({
  name: "http_request_duration_seconds",
  help: "From the parsed head to the end of the response.",
  labelNames: ["method", "route", "status"],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});
const sent = new Counter({ name: "http_response_bytes_total", help: "Bytes of content sent." });

server.on("request:end", ({ request, status = "none", durationMs, bytesWritten }) => {
  duration.observe({ method: methodOf(request), route: routeOf(request), status }, durationMs / 1000);
  sent.inc(bytesWritten);
});

// What the server counts itself is read when the page is.
new Gauge({
  name: "http_connections",
  help: "Open connections.",
  collect() {
    this.set(server.info().connections);
  },
});
new Gauge({
  name: "http_requests_refused",
  help: "Refused before a handler saw them, by status.",
  labelNames: ["status"],
  collect() {
    for (const [status, count] of Object.entries(server.info().refusedBy)) this.set({ status }, count);
  },
});
collectDefaultMetrics();

const page = await mist
  .new(async () =>
    mist.response(200, { headers: { "content-type": register.contentType }, body: await register.metrics() }),
  )
  .port(Number(process.env["METRICS_PORT"] ?? 9464))
  .afterStart(({ url }) => console.log(`Metrics: ${url}/metrics`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    await server.stop({ deadlineMs: 10_000 });
    await page.stop({ deadlineMs: 1_000 }); // the last: what happens during the stop can be seen
  });

/** Every value of a label is a time series, so a path or a method that a client makes up must not be one. */
function routeOf({ path }: mist.Request<unknown>): string {
  if (/^\/books\/\d+$/.test(path)) return "/books/:id";
  return path === "/" ? "/" : "other";
}

function methodOf({ method }: mist.Request<unknown>): string {
  return ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].includes(method) ? method : "other";
}
