// uWebSockets.js, which no registry has: `node uwebsockets.mjs PORT`, where a build of it is installed. /ws echoes, /room
// receives what is published.
const { default: uws } = await import("uWebSockets.js");

const app = uws
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
  .ws("/ws", {
    compression: uws.DISABLED,
    maxPayloadLength: 1 << 20,
    message: (socket, data, binary) => socket.send(data, binary),
  })
  .ws("/room", { compression: uws.DISABLED, open: (socket) => socket.subscribe("room") })
  .listen("127.0.0.1", Number(process.argv[2] ?? 0), (socket) => {
    console.log(uws.us_socket_local_port(socket));
  });

if (globalThis.benchTasks) globalThis.benchTasks.publish = (data) => void app.publish("room", data);
