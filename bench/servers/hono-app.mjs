// Hono's hello world, as its own guide has it.
import { Hono } from "hono";

export const app = new Hono();
app.get("/", (c) => c.text("Hello, world!"));
app.post("/echo", async (c) => c.body(await c.req.arrayBuffer()));
