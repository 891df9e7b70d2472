// A server that is restarted without a refused or broken request. systemd holds the listening socket and passes it
// on (LISTEN_FDS): who connects during a restart waits in its queue. Without systemd it listens on HOST and PORT.

import * as mist from "@x/mist";
import { handler } from "./handler.ts";

const builder = mist
  .new(handler)
  // A client that keeps its connection may be about to use it: longer than the default for busy machines.
  .withDeadlines({ stopGraceMs: 500 })
  .afterStart(({ url }) => console.log(`process ${process.pid} on ${url}; try /, /slow`));

const server =
  process.env["LISTEN_FDS"] === undefined
    ? await builder
        .port(Number(process.env["PORT"] ?? 4007))
        .bind(process.env["HOST"] ?? "localhost")
        .start()
    : await builder.start({ systemd: true });

// Answers under way are finished; what is left after ten seconds is cut off. Then nothing keeps the process alive.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, async () => {
    const { drained, killed } = await server.stop({ deadlineMs: 10_000 });
    console.log(`process ${process.pid} stopped: ${drained} connections drained, ${killed} cut off`);
  });
