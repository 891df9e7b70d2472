// An echo server. Every connection counts its packets in a state of its own.

import * as glisten from "@x/glisten";

const server = await glisten
  .new(
    () => 0,
    async (count, message, conn) => {
      if (message.type === "packet") await conn.send(message.data);
      return glisten.continue(count + 1);
    },
  )
  .withClose((count) => console.log(`a connection ended after ${count} packets`))
  .start(Number(process.env["PORT"] ?? 3000));

console.log(`echo on port ${server.port}; try: nc localhost ${server.port}`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.stop());
