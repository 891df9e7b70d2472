// The showcase: one page that uses everything mist does. PORT chooses the port, 0 a free one. With CERT and KEY, PEM files,
// it is served over TLS, and browsers speak HTTP/2 with it; the top of echo-tls says how to make them.

import * as mist from "@x/mist";
import { watch } from "./figures.ts";
import { createRoutes } from "./routes.ts";

const port = readPort(process.env["PORT"] ?? "4000");

try {
  const routes = await createRoutes();
  const { CERT: certfile, KEY: keyfile } = process.env;
  const builder = mist.new(routes.handler).port(port).withIpv6().afterStart(greet);
  const secure =
    certfile === undefined || keyfile === undefined ? builder : builder.withTls({ certfile, keyfile });
  const server = await secure.start();
  const unwatch = watch(server);
  const stop = async () => {
    unwatch();
    const { drained, killed } = await server.stop({ deadlineMs: 5_000 });
    await routes.close();
    console.log(`\nStopped: ${drained} connections finished, ${killed} cut off.`);
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
} catch (error) {
  if (!(error instanceof mist.StartError || error instanceof mist.CertificateError)) throw error;
  console.error(error instanceof mist.StartError ? explain(error) : error.message);
  process.exitCode = 1;
}

function readPort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  console.error(`PORT is a number from 0 to 65535, not "${text}".`);
  process.exit(1);
}

function explain(error: mist.StartError): string {
  if (error.socketReason === "eaddrinuse") return `Port ${port} is taken. Choose another: PORT=${port + 1}`;
  if (error.socketReason === "eacces")
    return `Port ${port} is not ours to take. Choose one above 1023, such as PORT=4000`;
  return error.message;
}

function greet(address: mist.ServerAddress): void {
  const url = `${address.scheme}://localhost:${address.port}`;
  console.log(`
  The showcase is on ${url}

  Try
    the page, in two tabs for the chat
    curl -d hello ${url}/echo
    curl -T README.md ${url}/upload
    curl -N ${url}/live
    curl '${url}/primes?count=20'
    curl -r 0-119 ${url}/files/main.ts

  Ctrl-C stops it.
`);
}
