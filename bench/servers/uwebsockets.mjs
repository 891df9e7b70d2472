// uWebSockets.js, which is on no registry: `node uwebsockets.mjs PORT`, where a build of it is installed.
const { default: uws } = await import("uWebSockets.js");

uws
  .App()
  .get("/", (response) => {
    response.writeHeader("content-type", "text/plain").end("Hello, world!");
  })
  .post("/echo", (response) => {
    let body = Buffer.alloc(0);
    response.onAborted(() => {});
    response.onData((part, last) => {
      body = Buffer.concat([body, Buffer.from(part)]);
      if (last) response.cork(() => response.end(body));
    });
  })
  .ws("/ws", { compression: uws.DISABLED, message: (socket, data, binary) => socket.send(data, binary) })
  .listen("127.0.0.1", Number(process.argv[2] ?? 0), (socket) => {
    console.log(uws.us_socket_local_port(socket));
  });
