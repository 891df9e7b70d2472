// An H3 app as it would be anywhere; mist serves it, and its WebSockets. A room is a path, its members a topic.

import * as mist from "@x/mist";
import { withWebSockets } from "@x/mist/crossws";
import { fromFetch } from "@x/mist/fetch";
import { defineWebSocketHandler, getRouterParam, H3 } from "h3";

const said: Record<string, number> = {};
const app = new H3();

app.get("/", () => "Join with a WebSocket at /rooms/<name>.");

app.get("/rooms/:room/count", (event) => ({ said: said[getRouterParam(event, "room") ?? ""] ?? 0 }));

app.get(
  "/rooms/:room",
  defineWebSocketHandler((event) => {
    const room = getRouterParam(event, "room") ?? "";
    const name = event.url.searchParams.get("name") ?? "someone";
    return {
      open(peer) {
        peer.subscribe("room");
        peer.publish("room", `* ${name} joined`);
        peer.send(`* ${peer.peers.size} here`);
      },
      message(peer, message) {
        said[room] = (said[room] ?? 0) + 1;
        peer.publish("room", `${name}: ${message.text()}`);
      },
      close: (peer) => peer.publish("room", `* ${name} left`),
    };
  }),
);

const server = await mist
  .new(fromFetch(withWebSockets(app.fetch)))
  .port(Number(process.env["PORT"] ?? 4013))
  .afterStart(({ port }) => console.log(`rooms on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.stop({ deadlineMs: 5_000 }));
