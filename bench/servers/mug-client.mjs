// A client under measurement, mug or bare node:net, which does its batches when told to: see mug's own workloads.
import { BLOCK, download, echo } from "../../packages/mug/bench/workloads.mjs";

const workloads = { echo, download };
const messages = {
  small: Buffer.from("PING 0123456789 abcdefghijklmnopqrstuvwxyz\r\n"),
  block: BLOCK,
};

/** One batch on a fresh connection: CPU and wall-clock microseconds for each unit of it. */
async function batch(open, units) {
  const client = await open();
  await client.run(Math.ceil(units / 10));
  const cpu = process.cpuUsage();
  const since = performance.now();
  await client.run(units);
  const wall = (performance.now() - since) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  await client.close();
  return { cpu: (user + system) / units, wall: wall / units };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

globalThis.benchTasks.run = async ({ workload, side, message, port, units, batches }) => {
  const open = () => workloads[workload][side](port, messages[message]);
  await batch(open, units);
  const all = [];
  for (let i = 0; i < batches; i++) all.push(await batch(open, units));
  return { cpu: median(all.map((one) => one.cpu)), wall: median(all.map((one) => one.wall)) };
};
console.log("ready");
