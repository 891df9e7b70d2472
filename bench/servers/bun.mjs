// Bun's own server: `bun bun.mjs PORT`
const server = Bun.serve({
  port: Number(process.argv[2] ?? 0),
  hostname: "127.0.0.1",
  async fetch(request) {
    if (request.url.endsWith("/echo")) return new Response(await request.arrayBuffer());
    return new Response("Hello, world!", { headers: { "content-type": "text/plain" } });
  },
});
console.log(server.port);
