// A TLS echo on 127.0.0.1, served by the built package: `node tls-echo.mjs PORT CERTFILE KEYFILE`.
import * as glisten from "@x/glisten";

const [port, certfile = "", keyfile = ""] = process.argv.slice(2);
const server = await glisten
  .new(
    () => undefined,
    (_state, message, connection) => {
      if (message.type === "packet") connection.send(message.data);
    },
  )
  .withTls({ certfile, keyfile })
  .start(Number(port));
console.log(server.port);
