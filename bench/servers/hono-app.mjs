// Hono's hello world as in its own guide, an echo, JSON, and a stream.
import { Hono } from "hono";
import { words } from "../src/requests.mjs";

export const app = new Hono();
app.get("/", (c) => c.text("Hello, world!"));
app.post("/echo", async (c) => c.body(await c.req.arrayBuffer()));
app.post("/json", async (c) => c.json(await c.req.json()));
app.get("/stream", () => {
  const chunks = words.map((word) => new TextEncoder().encode(word)).values();
  return new Response(
    new ReadableStream({
      pull(controller) {
        const { value, done } = chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    }),
  );
});
