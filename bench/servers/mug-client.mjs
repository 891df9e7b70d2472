// A client under measurement, mug or bare node:net; its workloads are mug's own (packages/mug/bench).
import { BLOCK, download, echo } from "../../packages/mug/bench/workloads.mjs";
import { offer } from "../src/task.mjs";

/** @import { Client } from "../../packages/mug/bench/workloads.mjs" */

/** @type {Record<string, Record<string, (port: number, message: Buffer) => Promise<Client>>>} */
const workloads = { echo, download };

/** @type {Record<string, Buffer>} */
const messages = {
  small: Buffer.from("PING 0123456789 abcdefghijklmnopqrstuvwxyz\r\n"),
  block: BLOCK,
};

// Every batch has a fresh connection: two connections of the same client can differ by a tenth for as long as they live.
offer(({ workload, side = "mug", message = "small", port = 0 }) => {
  const open = workloads[workload]?.[side];
  if (open === undefined) throw new Error(`there is no ${side} client for ${workload}`);
  return open(port, messages[message] ?? BLOCK);
});
