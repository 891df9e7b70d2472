// The mist server of a run, its clients, its stop, and what must hold of it at the end.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import * as mist from "@x/mist";
import { PlainClientRun } from "./client-http1.ts";
import { Http2ClientRun } from "./client-http2.ts";
import { WebSocketClientRun } from "./client-websocket.ts";
import { ServerFacts } from "./facts.ts";
import { Handlers, PlannedError } from "./handlers.ts";
import type { ClientEnd } from "./link.ts";
import { Records, type RequestRecord } from "./record.ts";
import type { HttpClient, HttpScenario } from "./scenario.ts";
import { runCrashes, type Stoppable, stopServer } from "./stopping.ts";
import type { World } from "./world.ts";

interface ClientRun {
  readonly name: string;
  mayLive(at: number): boolean;
  isHeld(): boolean;
  run(connect: () => Promise<ClientEnd>): Promise<void>;
}

export async function runHttp(world: World, plan: HttpScenario): Promise<void> {
  const facts = new ServerFacts(
    { ...mist.defaultLimits, ...plan.limits },
    { ...mist.defaultDeadlines, ...plan.deadlines },
  );
  facts.mayRefuse = plan.maxConnections < plan.clients.length;
  const records = new Records();
  const handlers = new Handlers(world, records, facts.limit("maxBuffered"));
  const reported = new Map<unknown, number>();
  const clients = plan.clients.map((client) => clientOf(world, client, records, facts));
  const sockets = new Map(
    clients.filter((client) => client instanceof WebSocketClientRun).map((client) => [client.name, client]),
  );
  let builder = mist
    .new((request) => {
      const [, kind, name = ""] = request.path.split("/");
      const socket = kind === "w" ? sockets.get(name) : undefined;
      return socket === undefined ? handlers.handle(request) : socket.serve(request);
    })
    .withLimits(plan.limits)
    .withDeadlines(plan.deadlines)
    .withPoolSize(plan.poolSize)
    .withMaxConnections(plan.maxConnections)
    .afterStart(() => {})
    .onError(({ error, during }) => {
      world.log("server", `onError: ${during}: ${String(error)}`);
      reported.set(error, (reported.get(error) ?? 0) + 1);
      if (!isPlanned(records, sockets.values(), error))
        world.fail(
          "failures are the handler's",
          `${during}: ${error instanceof Error ? error.stack : String(error)}`,
        );
    });
  if (plan.refusal) builder = builder.withRefusal(mist.response(503).setBody("503 full"));
  if (plan.onFailure) builder = builder.onFailure((error) => failureOf(error));
  const forget = plan.telemetry ? watchRequests(world, records) : () => {};
  const server = await builder.start({ memory: true });
  world.log("server", "started");
  for (const client of clients) {
    const { atMs } = plan.clients[clients.indexOf(client)] as HttpClient;
    world.after(atMs, () => {
      const connect = async (): Promise<ClientEnd> => {
        const socket = await server.connect();
        const { connections } = server.info();
        if (connections > plan.maxConnections) world.fail("limits are kept", `${connections} connections`);
        return socket;
      };
      client
        .run(connect)
        .catch((error: unknown) =>
          world.fail("the simulation works", `${client.name}: ${(error as Error).stack}`),
        );
    });
  }
  runCrashes(world, plan.crashes, server.supervisor, facts);
  stopServer(world, "server", server as unknown as Stoppable, plan.stop, facts, clients, () => {
    forget();
    for (const { key, background, calls } of records.requests.values()) {
      if (calls > 0 && background > 0 && !facts.mayKill(world.time.elapsed))
        world.fail("stop waits for what it was given", `${key}: ${background} promises are open`);
    }
    const { streams, refused } = server.info();
    if (streams !== 0) world.fail("counters are back to zero", `${streams} HTTP/2 streams are left`);
    world.log("server", `refused ${refused}`);
  });
  world.atEnd(() => {
    for (const record of records.requests.values()) judgeRecord(world, record, reported);
  });
}

function clientOf(world: World, client: HttpClient, records: Records, facts: ServerFacts): ClientRun {
  switch (client.kind) {
    case "http1":
      return new PlainClientRun(world, client, records, facts);
    case "websocket":
      return new WebSocketClientRun(world, client, facts);
    case "http2":
      return new Http2ClientRun(world, client, records, facts);
  }
}

function failureOf(error: unknown): mist.Response<mist.BytesBody> {
  const status = (error as { status?: number } | undefined)?.status ?? 500;
  const known = Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500;
  return mist.response(known).setBody(`${known} as onFailure says\n`);
}

function isPlanned(records: Records, sockets: Iterable<WebSocketClientRun>, error: unknown): boolean {
  for (const socket of sockets) if (socket.failures.includes(error)) return true;
  for (const { failures } of records.requests.values()) {
    if (failures.includes(error)) return true;
    // A handler that returned nothing.
    if (failures.includes(undefined) && (error as Error).name === "UsageError") return true;
  }
  return false;
}

/** What must hold of every request once all is over. */
function judgeRecord(world: World, record: RequestRecord, reported: ReadonlyMap<unknown, number>): void {
  const { key, step } = record;
  if (
    record.opened !== record.closed &&
    !(step.handler.answer.type === "iterable" && record.waits === "ever") &&
    !isHeldByTheUser(record)
  )
    world.fail("producers are let go of", `${key}: opened ${record.opened}, closed ${record.closed}`);
  if (record.opened + record.discarded > 1)
    world.fail("producers are let go of", `${key}: opened ${record.opened}, discarded ${record.discarded}`);
  if (record.abortedAt !== undefined && record.wholeAt !== undefined && record.abortedAt > record.wholeAt)
    world.fail(
      "a signal tells the truth",
      `${key}: aborted at ${record.abortedAt}, whole at ${record.wholeAt}`,
    );
  if (record.requestStarts !== record.requestEnds)
    world.fail("telemetry adds up", `${key}: ${record.requestStarts} starts, ${record.requestEnds} ends`);
  for (const failure of record.failures) {
    const times = failure === undefined ? 1 : (reported.get(failure) ?? 0);
    if (times > 1) world.fail("a failure is reported once", `${key}: ${times} times`);
    const answered = record.status === 500 && record.outcome === "whole";
    if (times === 0 && failure instanceof PlannedError && answered)
      world.fail("a failure is reported once", `${key}: never`);
  }
}

/** A generator of the user's that waits for something of its own cannot be ended from without. */
function isHeldByTheUser(record: RequestRecord): boolean {
  return (
    record.waits === "ever" &&
    record.step.handler.answer.type !== "chunked" &&
    record.step.handler.answer.type !== "events"
  );
}

function watchRequests(world: World, records: Records): () => void {
  const recordOf = (message: unknown): RequestRecord | undefined => {
    const { path } = (message as { readonly request: mist.Request }).request;
    return records.requests.get(path.slice(1));
  };
  const started = (message: unknown): void => {
    const record = recordOf(message);
    if (record !== undefined) record.requestStarts += 1;
  };
  const ended = (message: unknown): void => {
    const record = recordOf(message);
    if (record === undefined) return;
    const { complete, bytesRead } = message as { readonly complete: boolean; readonly bytesRead: number };
    record.requestEnds += 1;
    record.completeTold = complete;
    if (bytesRead > (record.step.body?.size ?? 0))
      world.fail("telemetry adds up", `${record.key}: ${bytesRead} bytes read`);
  };
  subscribe("mist:request:start", started);
  subscribe("mist:request:end", ended);
  return () => {
    unsubscribe("mist:request:start", started);
    unsubscribe("mist:request:end", ended);
  };
}
