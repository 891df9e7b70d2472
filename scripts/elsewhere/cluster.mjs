// A cluster of two workers that is reloaded once; prints the outcome as JSON.

import * as mist from "@x/mist";
import { app } from "./app.mjs";

const running = await mist.cluster(app, { workers: 2, startTimeoutMs: 15_000 });
if (running.role === "primary") {
  const { address, workers } = await running.info();
  if (!("port" in address)) throw new Error(`the cluster listens on ${address.path}`);
  await running.reload();
  const answer = await (await fetch(`http://127.0.0.1:${address.port}/`)).text();
  const replaced = (await running.info()).workers.filter((pid) => !workers.includes(pid));
  const { killed } = await running.stop();
  console.log(JSON.stringify({ answer, workers: workers.length, replaced: replaced.length, killed }));
}
