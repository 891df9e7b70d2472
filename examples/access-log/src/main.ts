// An access log by pino: one line for each response, for each request that was refused before the handler saw it, and
// for each failure. Lines of the handler carry the id of their request.

import { AsyncLocalStorage } from "node:async_hooks";
import { tracingChannel } from "node:diagnostics_channel";
import * as mist from "@x/mist";
import { type Logger, pino } from "pino";

const log = pino({ base: null });

// Each request has a logger of its own. It holds in all that comes of the request: promises, streams, WebSockets, events.
const store = new AsyncLocalStorage<Logger>();
tracingChannel<Logger, mist.RequestTrace>("mist:request").start.bindStore(store, ({ request }) =>
  log.child({ requestId: request.id, client: clientOf(request) }),
);
const current = (): Logger => store.getStore() ?? log;

const server = await mist
  .new(async (request) => {
    const [name = "world"] = request.pathSegments;
    if (name === "fail") throw new Error("out of paper");
    current().info({ name }, "greeting");
    return mist.text(`hello, ${name}\n`);
  })
  .port(Number(process.env["PORT"] ?? 4013))
  .afterStart(({ url }) => log.info({ url }, "listening"))
  .onError(({ error, during }) => current().error({ err: error, during }, "failed"))
  .start();

server.on("request:end", ({ request, status, durationMs, bytesWritten, complete }) => {
  const { method, path, version } = request;
  const facts = { method, path, version, status, durationMs, bytesWritten };
  if (complete) current().info(facts, "answered");
  else current().warn(facts, "broken off");
});

server.on("request:refused", ({ status, section, error, address }) => {
  const client = address && mist.ipAddressToString(address.ipAddress);
  log.warn({ client, status, section, reason: error.message }, "refused");
});

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => void server.stop({ deadlineMs: 10_000 }));

function clientOf(request: mist.Request<unknown>): string | undefined {
  try {
    return mist.ipAddressToString(mist.getConnectionInfo(request).ipAddress);
  } catch {
    return undefined; // a unix socket, or a client that has gone already
  }
}
