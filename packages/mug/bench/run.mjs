// mug against a bare node:net client. Batches of both alternate in one run, so that whatever else the machine
// does hits both, and every batch has a connection of its own: two connections of the very same client can differ
// by a tenth for as long as they live. Each ratio is the median over pairs of neighbouring batches.
// Run with --check to fail when a target is missed.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BLOCK, download, echo } from "./workloads.mjs";

const PAIRS = 61;

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Wall-clock and CPU microseconds per unit of one batch on a fresh, warm connection. */
async function measure(open, units) {
  const client = await open();
  await client.run(Math.ceil(units / 10));
  const cpu = process.cpuUsage();
  const start = performance.now();
  await client.run(units);
  const wall = (performance.now() - start) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  await client.close();
  return { wall: wall / units, cpu: (user + system) / units };
}

async function compare(name, units, ours, bare, target) {
  for (let warmUp = 0; warmUp < 3; warmUp++) {
    await measure(ours, units);
    await measure(bare, units);
  }
  const pairs = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    const oursFirst = pair % 2 === 0;
    const first = await measure(oursFirst ? ours : bare, units);
    const second = await measure(oursFirst ? bare : ours, units);
    pairs.push(oursFirst ? { ours: first, bare: second } : { ours: second, bare: first });
  }
  const ratio = (what) => median(pairs.map((pair) => pair.ours[what] / pair.bare[what]));
  const typical = (side, what) => median(pairs.map((pair) => pair[side][what]));
  const row = { name, wall: ratio("wall"), cpu: ratio("cpu"), target };
  console.log(
    `${name.padEnd(34)} time ×${row.wall.toFixed(3)}  cpu ×${row.cpu.toFixed(3)}  target ×${target}  ` +
      `(${Math.round(1e6 / typical("ours", "wall"))}/s; ` +
      `cpu ${typical("ours", "cpu").toFixed(2)} µs against ${typical("bare", "cpu").toFixed(2)} µs)`,
  );
  return row;
}

const server = fork(fileURLToPath(new URL("./peer-server.mjs", import.meta.url)));
const port = await new Promise((resolve) => server.once("message", resolve));

const small = Buffer.from("PING 0123456789 abcdefghijklmnopqrstuvwxyz\r\n");
const echoing = (client, message) => () => client(port, message);

const rows = [
  await compare("round trip, 44 bytes", 1500, echoing(echo.mug, small), echoing(echo.bare, small), 1.15),
  await compare(
    "the same, with a timeout",
    1500,
    echoing(echo.mugWithTimeout, small),
    echoing(echo.bare, small),
    1.15,
  ),
  await compare("round trip, 64 KiB", 600, echoing(echo.mug, BLOCK), echoing(echo.bare, BLOCK), 1.05),
  await compare(
    "download, 64 KiB blocks",
    1500,
    () => download.mug(port),
    () => download.bare(port),
    1.05,
  ),
];
server.disconnect();

const missed = rows.filter((row) => row.wall > row.target || row.cpu > row.target);
for (const { name, target } of missed) console.log(`missed: ${name} must stay within ×${target}`);
if (process.argv.includes("--check") && missed.length > 0) process.exitCode = 1;
