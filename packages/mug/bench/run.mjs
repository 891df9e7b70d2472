// mug against a bare node:net client. Batches of both alternate in one run, so that whatever else the machine
// does hits both; each ratio is the median over pairs of neighbouring batches. Run with --check to fail when a
// target is missed.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BLOCK, download, echo } from "./workloads.mjs";

const PAIRS = 31;

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Wall-clock and CPU microseconds per unit of one batch. */
async function measure(batch, units) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await batch();
  const wall = (performance.now() - start) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { wall: wall / units, cpu: (user + system) / units };
}

async function compare(name, units, ours, bare, targets) {
  for (let warmUp = 0; warmUp < 3; warmUp++) {
    await ours();
    await bare();
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
  const row = { name, wall: ratio("wall"), cpu: ratio("cpu"), targets };
  const perSecond = Math.round(1e6 / typical("ours", "wall"));
  console.log(
    `${name.padEnd(34)} time ×${row.wall.toFixed(3)}  cpu ×${row.cpu.toFixed(3)}  ` +
      `(${perSecond}/s; cpu ${typical("ours", "cpu").toFixed(2)} µs against ${typical("bare", "cpu").toFixed(2)} µs)`,
  );
  return row;
}

async function compareEcho(port, name, message, units, target, ours = echo.mug) {
  const mine = await ours(port, message);
  const bare = await echo.bare(port, message);
  const row = await compare(
    name,
    units,
    () => mine.run(units),
    () => bare.run(units),
    target,
  );
  await mine.close();
  await bare.close();
  return row;
}

const server = fork(fileURLToPath(new URL("./peer-server.mjs", import.meta.url)));
const port = await new Promise((resolve) => server.once("message", resolve));

const small = Buffer.from("PING 0123456789 abcdefghijklmnopqrstuvwxyz\r\n");
const rows = [
  await compareEcho(port, "round trip, 44 bytes", small, 4000, 1.15),
  await compareEcho(port, "round trip, 44 bytes, with timeout", small, 4000, 1.15, echo.mugWithTimeout),
  await compareEcho(port, "round trip, 64 KiB", BLOCK, 800, 1.05),
  await compare(
    "download, 64 KiB blocks",
    4000,
    () => download.mug(port, 4000),
    () => download.bare(port, 4000),
    1.05,
  ),
];
server.disconnect();

const missed = rows.filter((row) => row.wall > row.targets || row.cpu > row.targets);
for (const { name, targets } of missed) console.log(`missed: ${name} must stay within ×${targets}`);
if (process.argv.includes("--check") && missed.length > 0) process.exitCode = 1;
