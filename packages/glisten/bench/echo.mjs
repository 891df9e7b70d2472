// A TCP echo on 127.0.0.1, served by the built package: `node echo.mjs PORT`.
import * as glisten from "@x/glisten";

const server = await glisten
  .new(
    () => undefined,
    (_state, message, connection) => {
      if (message.type === "packet") connection.send(message.data);
    },
  )
  .start(Number(process.argv[2] ?? 0));
console.log(server.port);
