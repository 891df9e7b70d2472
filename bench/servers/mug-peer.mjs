// What the clients talk to: mug's own peer, with its port told on standard output.
process.send = (port) => console.log(port);
await import("../../packages/mug/bench/peer-server.mjs");
