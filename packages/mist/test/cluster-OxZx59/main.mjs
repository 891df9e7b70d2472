import cluster from "node:cluster";
import diagnostics_channel from "node:diagnostics_channel";
import * as mist from "@x/mist";
import { clusterRelay } from "@x/mist/relay/cluster";

const heard = [];
const states = [];
diagnostics_channel.subscribe("mist:topics:state", ({ state }) => states.push(state));
const topics = mist.topics({
  relay: clusterRelay({ keep: 50 }),
  replay: 10_000,
  unsent: { bytes: 256 * 1024 * 1024 },
  frame({ data }) {
    heard.push(data);
    return "";
  },
});
const member = { subject: {}, open: true, blocked: false, sendPrepared: async () => {}, close() {} };
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function obey({ does, ...order }) {
  switch (does) {
    case "join":
      await topics.join(member, "room", { after: "AAAAAAAA.1" }).replay;
      return topics.state;
    case "publish":
      for (let i = 0; i < order.count; i++) {
        topics.publish("room", order.name + " " + i + " ".repeat(order.size ?? 0));
        if (i % 100 === 99) await turn();
      }
      return heard.length;
    case "count":
      return heard.length;
    case "heard":
      return heard.splice(0).map((text) => text.trimEnd());
    case "states":
      return states.splice(0);
    case "rss":
      return process.memoryUsage().rss;
  }
}

const handler = (request) =>
  mist.serverSentEvents({
    request,
    retryOnStopMs: 10,
    init: (stream) => void topics.join(stream, "numbers"),
    loop: () => undefined,
  });
const running = await mist.cluster(
  () =>
    mist
      .new(handler)
      .port(0)
      .afterStart(() => {}),
  {
    workers: Number(process.env.WORKERS),
    onStop: () => topics.close(),
  },
);
if (running.role === "worker") {
  process.on("message", async ({ question, ...order }) => {
    if (question !== undefined) process.send({ question, answer: await obey(order) });
  });
} else {
  cluster.on("message", (_worker, { question, answer }) => {
    if (question !== undefined) process.send({ question, answer });
  });
  let ticking;
  process.on("message", async ({ question, to, ...order }) => {
    const own = {
      async numbers() {
        let n = 0;
        ticking = setInterval(() => topics.publish("numbers", String(n++)), 2);
      },
      async enough() {
        clearInterval(ticking);
      },
      reload: () => running.reload(),
      info: () => running.info(),
      async stop() {
        await running.stop();
        await topics.close();
      },
    }[order.does];
    if (own !== undefined) process.send({ question, answer: await own() });
    else if (to === "primary") process.send({ question, answer: await obey(order) });
    else
      Object.values(cluster.workers)
        .find((worker) => worker.process.pid === to)
        .send({ question, ...order });
    if (order.does === "stop") process.disconnect();
  });
  process.send({ question: 0 });
}
