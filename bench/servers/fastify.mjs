// Fastify: `node fastify.mjs PORT`
import fastify from "fastify";

const app = fastify({ logger: false });
app.addContentTypeParser("text/plain", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
app.get("/", (_request, reply) => reply.type("text/plain").send("Hello, world!"));
app.post("/echo", (request, reply) => reply.type("text/plain").send(request.body));
await app.listen({ port: Number(process.argv[2] ?? 0), host: "127.0.0.1", backlog: 1024 });
console.log(/** @type {import("node:net").AddressInfo} */ (app.server.address()).port);
