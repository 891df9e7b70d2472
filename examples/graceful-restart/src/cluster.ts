// The same without a service manager that holds sockets: a primary process holds it, and workers come and go.
// SIGHUP replaces the workers one by one, each new one running the code that is on the disk then; SIGTERM stops all.

import * as mist from "@x/mist";
import { handler } from "./handler.ts";

const running = await mist.cluster(
  () =>
    mist
      .new(handler)
      .withDeadlines({ stopGraceMs: 500 })
      .port(Number(process.env["PORT"] ?? 4008))
      .afterStart(() => {}),
  { workers: 2 },
);

if (running.role === "primary") {
  const { address, workers } = await running.info();
  const where = "port" in address ? `http://localhost:${address.port}` : address.path;
  console.log(`${where}, workers ${workers.join(" and ")}; kill -HUP ${process.pid} replaces them`);

  process.on("SIGHUP", () => {
    running.reload().then(
      async () => console.log(`reloaded, workers ${(await running.info()).workers.join(" and ")}`),
      (error) => console.error(`not reloaded: ${error.message}`),
    );
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void running.stop());
}
