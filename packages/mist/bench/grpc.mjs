// What a unary gRPC call costs the server: `node bench/grpc.mjs [CALLS]` after a build.
//
// grpc-js calls the same method of three servers in turn: its own, a mist handler that echoes gRPC's messages, and a
// mist handler with Connect, which reads and writes protobuf as well. The figure is the CPU time of the server process, all
// threads, per call; a ratio is the median of the rounds' ratios.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import * as mist from "@x/mist";
import { threadTime } from "../../../bench/src/cpu-time.mjs";
import { median } from "../../../bench/src/median.mjs";

const ROUNDS = 7;
const AT_ONCE = 32;
const CONTESTANTS = ["grpc-js", "mist", "connect"];

const example = new URL("../../../examples/grpc/", import.meta.url);
const grpc = createRequire(new URL("package.json", example))("@grpc/grpc-js");
const PATH = "/weather.v1.Weather/Latest";
/** A message of the example's: its first field, a text. */
const MESSAGE = Buffer.from("\x0a\x05Quito", "latin1");

const [mode, ...args] = process.argv.slice(2);
if (mode === "serve") await serve(String(args[0]));
else await compare(Number(mode ?? 4000));

/** @param {string} contestant */
async function serve(contestant) {
  process.once("disconnect", () => process.exit());
  if (contestant === "grpc-js") {
    const server = new grpc.Server();
    const same = (/** @type {Buffer} */ bytes) => bytes;
    const method = { path: PATH, requestStream: false, responseStream: false };
    const definition = {
      Latest: {
        ...method,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    };
    server.addService(definition, {
      Latest: (/** @type {any} */ call, /** @type {any} */ callback) => callback(null, call.request),
    });
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (/** @type {unknown} */ _, /** @type {number} */ port) =>
      process.send?.(port),
    );
    return;
  }
  const handler = contestant === "mist" ? echo : await connectHandler();
  const server = await mist
    .new(handler)
    .bind("127.0.0.1")
    .port(0)
    .afterStart(() => {})
    .start();
  process.send?.(server.port);
}

/** @param {mist.Request} request */
async function echo(request) {
  const message = await mist.readBody(request, { maxBodyLimit: 1 << 20 });
  return mist
    .response(200)
    .setHeader("content-type", "application/grpc")
    .setBody(mist.bytes(message))
    .withTrailers(() => [["grpc-status", "0"]]);
}

async function connectHandler() {
  const { grpc: handler } = await import(new URL("dist/grpc.js", example).href);
  const { Weather } = await import(new URL("dist/weather_pb.js", example).href);
  return handler((/** @type {any} */ router) =>
    router.service(Weather, {
      latest: (/** @type {{ station: string }} */ { station }) => ({ station, celsius: 1 }),
    }),
  );
}

/** @param {number} calls */
async function compare(calls) {
  const servers = await Promise.all(CONTESTANTS.map(start));
  /** @type {number[][]} */
  const figures = CONTESTANTS.map(() => []);
  // The first round is for warming up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, { child, client }] of servers.entries()) {
      const before = threadTime(child.pid) ?? Number.NaN;
      await makeCalls(client, calls);
      if (round > 0) figures[index]?.push(((threadTime(child.pid) ?? Number.NaN) - before) / calls);
    }
  }
  const [own = []] = figures;
  console.log(`gRPC unary, ${calls} calls, ${AT_ONCE} at once, ${ROUNDS} rounds, Node.js ${process.version}`);
  for (const [index, name] of CONTESTANTS.entries()) {
    const values = figures[index] ?? [];
    const ratio = median(values.map((value, round) => value / /** @type {number} */ (own[round])));
    console.log(
      `${name.padEnd(8)} ${median(values).toFixed(1).padStart(7)} µs per call  ${ratio.toFixed(2)} ×`,
    );
  }
  for (const { child, client } of servers) {
    client.close();
    child.disconnect(); // and it exits, as it does without us
  }
}

/** @param {string} contestant */
async function start(contestant) {
  const flags = (process.env.BENCH_SERVER_FLAGS ?? "").split(" ").filter((flag) => flag !== "");
  const child = spawn(process.execPath, [...flags, fileURLToPath(import.meta.url), "serve", contestant], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const port = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`${contestant} ended with ${code}`)));
  });
  return { child, client: new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure()) };
}

/**
 * @param {any} client
 * @param {number} calls
 */
async function makeCalls(client, calls) {
  const same = (/** @type {Buffer} */ bytes) => bytes;
  let left = calls;
  const one = () =>
    new Promise((resolve, reject) => {
      const done = (/** @type {Error | null} */ error, /** @type {Buffer} */ answer) => {
        if (error !== null) reject(error);
        else if (!answer.subarray(0, MESSAGE.length).equals(MESSAGE))
          reject(new Error("the answer is wrong"));
        else resolve(undefined);
      };
      client.makeUnaryRequest(PATH, same, same, MESSAGE, done);
    });
  const lane = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
