// The glisten server of a run.

import * as glisten from "@x/glisten";
import { TcpClientRun } from "./client-tcp.ts";
import { ServerFacts } from "./facts.ts";
import type { TcpScenario } from "./scenario.ts";
import { runCrashes, type Stoppable, stopServer } from "./stopping.ts";
import type { World } from "./world.ts";

export async function runTcp(world: World, plan: TcpScenario): Promise<void> {
  const { sendMs, minSendRate, lingerMs, stallMs, initTimeoutMs } = plan;
  const facts = new ServerFacts({}, { sendMs, minSendRate, lingerMs, stallMs, initTimeoutMs });
  facts.mayRefuse = plan.maxConnections < plan.clients.length || plan.maxQueue < plan.clients.length;
  const clients = plan.clients.map((client) => new TcpClientRun(world, client, facts, plan.activeState));
  const ofConnection = (connection: glisten.Connection<never>): TcpClientRun => {
    const { port } = connection.info();
    return clients.find((client) => client.port === port) as TcpClientRun;
  };
  const initsMs = plan.clients.reduce(
    (sum, { server }) => sum + Math.max(0, Math.min(server.initMs, initTimeoutMs + 200)),
    0,
  );
  for (const client of clients) client.initsMs = initsMs;
  const reported = new Map<unknown, number>();
  let builder = glisten
    .new<TcpClientRun, number, number>(
      (connection) => {
        const client = ofConnection(connection as unknown as glisten.Connection<never>);
        const first = client.init(connection);
        return first instanceof Promise ? first.then(() => client) : client;
      },
      (client, message, connection) => mapped(client, client.loop(0, message, connection)),
    )
    .withPoolSize(plan.poolSize)
    .withMaxConnections(plan.maxConnections)
    .withMaxQueue(plan.maxQueue)
    .withActiveState(plan.activeState)
    .withSendDeadline({ sendMs, minSendRate })
    .withLinger({ lingerMs, stallMs })
    .withInitTimeout(initTimeoutMs)
    .withClose((client, reason) => client.onClose(reason))
    .onError((error) => {
      world.log("tcp", `onError: ${error.message}`);
      const cause = error.cause;
      reported.set(cause, (reported.get(cause) ?? 0) + 1);
      const isPlanned =
        clients.some(({ failures }) => failures.includes(cause)) || (cause as Error).name === "DeadlineError";
      if (!isPlanned) world.fail("failures are the handler's", String((cause as Error)?.stack ?? cause));
    });
  if (plan.clients.some(({ server }) => server.onShutdown !== "none"))
    builder = builder.withShutdown((client) =>
      client.plan.server.onShutdown === "none" ? undefined : mapped(client, client.onShutdown(0)),
    );
  const server = await builder.start({ memory: true });
  world.log("tcp", "started");
  for (const client of clients) {
    world.after(client.plan.atMs, () => {
      client
        .run(async () => {
          const socket = await server.connect({ remotePort: client.port });
          const { connections } = server.info();
          if (connections > plan.maxConnections) world.fail("limits are kept", `${connections} connections`);
          return socket;
        })
        .catch((error: unknown) =>
          world.fail("the simulation works", `${client.name}: ${(error as Error).stack}`),
        );
    });
  }
  runCrashes(world, plan.crashes, server.supervisor, facts);
  stopServer(world, "tcp", server as unknown as Stoppable, plan.stop, facts, clients, () => {});
  world.atEnd(() => {
    for (const client of clients) {
      for (const failure of client.failures) {
        const times = reported.get(failure) ?? 0;
        if (times > 1) world.fail("a failure is reported once", `${client.name}: ${times} times`);
      }
    }
  });
}

type Answer = glisten.Next<number, number> | undefined;

/** The loop's state is its client. */
function mapped(
  client: TcpClientRun,
  answer: Answer | Promise<Answer>,
): glisten.Next<TcpClientRun, number> | undefined | Promise<glisten.Next<TcpClientRun, number> | undefined> {
  const map = (next: Answer): glisten.Next<TcpClientRun, number> | undefined =>
    next?.kind === "continue" ? glisten.continue(client) : (next as glisten.Next<never, never> | undefined);
  return answer instanceof Promise ? answer.then(map) : map(answer);
}
