// A chat room on all cores: several processes serve one address, and what is said in one is heard in all. What a process
// hears is encoded once for all of its WebSockets. `/who` asks who is here.

import * as mist from "@x/mist";
import { clusterRelay } from "@x/mist/relay/cluster";
import { PAGE } from "./page.ts";

const topics = mist.topics({ relay: clusterRelay(), presence: true, slowClient: "close" });

const running = await mist.cluster(
  () =>
    mist
      .new((request) => {
        if (request.path === "/ws") return join(request);
        if (request.path !== "/") return mist.response(404);
        return mist.html(PAGE);
      })
      .port(Number(process.env["PORT"] ?? 4004))
      .afterStart(() => {}),
  { workers: Number(process.env["WORKERS"] ?? 2), stopDeadlineMs: 5_000, onStop: () => topics.close() },
);

if (running.role === "primary") {
  const { address, workers } = await running.info();
  const port = "port" in address ? address.port : 0;
  console.log(`chat on http://localhost:${port}, in processes ${workers.join(" and ")}`);
  for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, async () => {
      await running.stop();
      await topics.close();
    });
}

function join(request: mist.Request): mist.ServerResponse {
  const name = new URLSearchParams(request.query).get("name")?.slice(0, 20) || "someone";
  return mist.websocket({
    request,
    async onInit(conn) {
      await topics.join(conn, "room", { as: name }).ready;
      topics.publish("room", `* ${name} joined`);
    },
    handler(_state, message, conn) {
      if (message.type !== "text") return;
      if (message.data === "/who") conn.sendText(`* here: ${topics.presence("room").join(", ")}`);
      else topics.publish("room", `${name}: ${message.data.slice(0, 500)}`);
    },
    onClose: () => void topics.publish("room", `* ${name} left`),
  });
}
