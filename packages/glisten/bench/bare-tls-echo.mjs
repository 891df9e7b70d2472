// The floor: the same echo with nothing but node:tls: `node bare-tls-echo.mjs PORT CERTFILE KEYFILE`.
import { readFileSync } from "node:fs";
import { createServer } from "node:tls";

const [port, certfile = "", keyfile = ""] = process.argv.slice(2);
const options = { cert: readFileSync(certfile), key: readFileSync(keyfile), noDelay: true };
const server = createServer(options, (socket) => {
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("error", () => {});
});
server.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);
