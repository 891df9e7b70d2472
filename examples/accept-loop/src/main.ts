// A server without a framework: the low-level sockets alone. One loop accepts, one task for each client.

import { listen, type TcpSocket } from "@x/glisten/tcp";

const listener = await listen(Number(process.env["PORT"] ?? 3003));
console.log(`upper case on port ${listener.port}; try: nc localhost ${listener.port}`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void listener.close());

for (;;) {
  const socket = await listener.accept().catch(ended);
  if (socket === undefined) break;
  void serve(socket).catch((error) => console.log(`a client was lost: ${error.message}`));
}

/** Sends back in upper case whatever comes, until the client hangs up or says nothing for a minute. */
async function serve(socket: TcpSocket): Promise<void> {
  for (;;) {
    const data = await socket.receive(0, { timeout: 60_000 }).catch(ended);
    if (data === undefined) break;
    await socket.send(data.toString().toUpperCase());
  }
  await socket.close();
}

/** Closed is how both loops are meant to end; anything else is a failure. */
function ended(error: { code?: string }): undefined {
  if (error.code !== "closed") throw error;
}
