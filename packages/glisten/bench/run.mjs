// Runs the benchmarks: `node bench/run.mjs [case …]`, the package built before. Servers and load are processes of
// their own, pinned to a core each where `taskset` is there. Ours and the floor take turns, so that whatever else
// the machine does falls on both; ratios are of medians, lower is better except for connections per second.
//
// `GLISTEN_WITHOUT=push node bench/run.mjs …` takes glisten without one of its performance tricks for the floor, and so
// says what that trick is worth (see src/performance).
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const here = (name) => join(import.meta.dirname, name);

const CASES = {
  "echo-64x64-1": { job: { connections: 64, size: 64, inFlight: 1, messages: 150_000 }, limit: 1.1 },
  "echo-64x64-32": { job: { connections: 64, size: 64, inFlight: 32, messages: 4_000_000 }, limit: 1.1 },
  "echo-16x64k": { job: { connections: 16, size: 65_536, inFlight: 1, messages: 30_000 }, limit: 1.1 },
  connect: { job: { mode: "connect", connections: 32, size: 64, messages: 10_000 }, limit: 1 / 0.85 },
  // The same beside 75 MB of application data, which a collection of the whole heap must walk.
  "echo-16x64k-heap": {
    job: { connections: 16, size: 65_536, inFlight: 1, messages: 30_000 },
    limit: 1.1,
    env: { BALLAST: "600000" },
  },
  "tls-64x64-1": {
    job: { connections: 64, size: 64, inFlight: 1, messages: 100_000 },
    limit: 1.1,
    tls: true,
  },
  "tls-16x64k": {
    job: { connections: 16, size: 65_536, inFlight: 1, messages: 15_000 },
    limit: 1.1,
    tls: true,
  },
  idle: { job: { mode: "idle", connections: 4_000, size: 64 }, limit: 2_048, heap: true },
};

function pinned(core, args) {
  if (availableParallelism() < 2 || !hasTaskset) return [process.execPath, args];
  return ["taskset", ["-c", String(core), process.execPath, ...args]];
}

const hasTaskset = (() => {
  try {
    execFileSync("taskset", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

function start(core, args, env = {}) {
  const [command, argv] = pinned(core, args);
  const child = spawn(command, argv, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, GLISTEN_WITHOUT: "", ...env },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${args.join(" ")} ended early`);
    return JSON.parse(value);
  };
  return { child, line };
}

async function probe(server) {
  server.child.kill("SIGUSR2");
  return server.line();
}

/** One run against a fresh server: what the whole job cost it. */
async function once(name, { job, heap, env }, certificate, without = "") {
  const server = start(0, ["--expose-gc", here(name), "0", ...certificate], {
    ...env,
    GLISTEN_WITHOUT: without,
  });
  const port = await server.line();
  const load = (more) =>
    start(1, [here("load.mjs"), JSON.stringify({ ...job, ...more, port, tls: certificate.length > 0 })]);
  try {
    if (!heap) await load({ messages: Math.ceil(job.messages / 5) }).line(); // Warm-up.
    const before = await probe(server);
    const work = load({});
    const { count } = await work.line();
    const after = await probe(server);
    work.child.kill("SIGKILL");
    if (heap) return (after.heapUsed - before.heapUsed) / count;
    return ((after.cpuMs - before.cpuMs) * 1000) / count;
  } finally {
    server.child.kill("SIGKILL");
  }
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

function makeCertificate() {
  const folder = mkdtempSync(join(tmpdir(), "glisten-bench-"));
  const files = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const request = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
  ];
  const where = ["-subj", "/CN=localhost", "-out", files[0], "-keyout", files[1]];
  execFileSync("openssl", [...request, ...where], { stdio: "ignore" });
  return { files, remove: () => rmSync(folder, { recursive: true }) };
}

async function compare(name, one, files) {
  const without = process.env.GLISTEN_WITHOUT ?? "";
  const [ours, bareFloor] = one.tls ? ["tls-echo.mjs", "bare-tls-echo.mjs"] : ["echo.mjs", "bare-echo.mjs"];
  const floor = without === "" ? bareFloor : ours;
  const results = { ours: [], floor: [] };
  for (let round = 0; round < ROUNDS; round++) {
    results.ours.push(await once(ours, one, one.tls ? files : []));
    results.floor.push(await once(floor, one, one.tls ? files : [], without));
  }
  const mine = median(results.ours);
  const bare = median(results.floor);
  const measured = one.heap ? mine - bare : mine / bare;
  const floorName = without === "" ? "bare" : `without ${without}`;
  const unit = one.heap ? "bytes" : "µs";
  const verdict = measured <= one.limit ? "holds" : "MISSED";
  const what = one.heap ? `${measured.toFixed(0)} bytes more` : `ratio ${measured.toFixed(3)}`;
  const figures = `glisten ${mine.toFixed(2)} ${unit}, ${floorName} ${bare.toFixed(2)} ${unit}`;
  console.log(`${name.padEnd(14)} ${figures}: ${what} (limit ${one.limit.toFixed(2)}) ${verdict}`);
}

const wanted = process.argv.slice(2);
const names = wanted.length > 0 ? wanted : Object.keys(CASES);
const needsTls = names.some((name) => CASES[name].tls);
const certificate = needsTls ? makeCertificate() : { files: [], remove() {} };
try {
  for (const name of names) await compare(name, CASES[name], certificate.files);
} finally {
  certificate.remove();
}
