// The load: `node load.mjs '{"port":…,"mode":"echo"|"connect"|"idle",…}'`. Checks every answer.
//
// echo: `connections` sockets keep `inFlight` messages of `size` bytes on their way until `messages` came back.
// connect: `connections` at a time connect, send 64 bytes, read them back and close, `messages` times over.
// idle: `connections` sockets connect, echo once, and stay until this process is killed.
import { connect as netConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";

const job = {
  mode: "echo",
  connections: 64,
  size: 64,
  inFlight: 1,
  messages: 100_000,
  tls: false,
  ...JSON.parse(process.argv[2]),
};
const pattern = Buffer.alloc(job.size * job.inFlight);
for (let i = 0; i < job.size; i++) pattern[i] = (i * 31 + 7) & 0xff;
for (let at = job.size; at < pattern.length; at += job.size) pattern.copy(pattern, at, 0, job.size);

function open(ready) {
  const socket = job.tls
    ? tlsConnect({ port: job.port, host: "127.0.0.1", rejectUnauthorized: false }, ready)
    : netConnect({ port: job.port, host: "127.0.0.1", noDelay: true }, ready);
  socket.on("error", fail);
  return socket;
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

/** Compares a chunk with what must come at this offset of the stream. */
function check(chunk, offset) {
  for (let at = 0; at < chunk.length; ) {
    const from = (offset + at) % job.size;
    const length = Math.min(chunk.length - at, pattern.length - from);
    if (chunk.compare(pattern, from, from + length, at, at + length) !== 0)
      fail(new Error("wrong bytes came back"));
    at += length;
  }
}

function finish(count, since) {
  console.log(JSON.stringify({ count, ms: performance.now() - since }));
}

function echo() {
  let opened = 0;
  let asked = 0;
  let answered = 0;
  let since = 0;
  const sockets = [];
  const begin = () => {
    since = performance.now();
    for (const socket of sockets) send(socket, job.inFlight);
  };
  const send = (socket, count) => {
    const most = Math.min(count, job.messages - asked);
    asked += most;
    if (most > 0) socket.write(pattern.subarray(0, most * job.size));
  };
  for (let i = 0; i < job.connections; i++) {
    const socket = open(() => {
      opened += 1;
      if (opened === job.connections) begin();
    });
    let received = 0;
    socket.on("data", (chunk) => {
      check(chunk, received);
      const before = Math.floor(received / job.size);
      received += chunk.length;
      const done = Math.floor(received / job.size) - before;
      if (done === 0) return;
      answered += done;
      if (answered === job.messages) {
        finish(answered, since);
        for (const each of sockets) each.destroy();
      } else send(socket, done);
    });
    sockets.push(socket);
  }
}

function connections() {
  const since = performance.now();
  let started = 0;
  let ended = 0;
  const next = () => {
    if (started === job.messages) return;
    started += 1;
    let received = 0;
    const socket = open(() => socket.write(pattern.subarray(0, job.size)));
    socket.on("data", (chunk) => {
      check(chunk, received);
      received += chunk.length;
      if (received === job.size) socket.end();
    });
    socket.on("close", () => {
      if (received !== job.size) fail(new Error("a connection ended without its answer"));
      ended += 1;
      if (ended === job.messages) finish(ended, since);
      else next();
    });
  };
  for (let i = 0; i < job.connections; i++) next();
}

function idle() {
  const since = performance.now();
  let answered = 0;
  const sockets = [];
  for (let i = 0; i < job.connections; i++) {
    const socket = open(() => socket.write(pattern.subarray(0, job.size)));
    socket.once("data", () => {
      answered += 1;
      if (answered === job.connections) finish(answered, since);
    });
    sockets.push(socket);
  }
}

({ echo, connect: connections, idle })[job.mode]();
