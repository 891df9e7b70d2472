// A chat room that spans processes: each serves its own WebSockets, and what is said travels through a broker, so
// that everyone hears it in one order. Without a broker the people of one process still hear each other.

import { type Subject, start } from "@x/glisten/actor";
import * as mist from "@x/mist";
import { link, type News } from "./link.ts";
import { PAGE } from "./page.ts";

type Member = Subject<mist.PreparedFrame>;
type Event =
  | { type: "join"; member: Member; name: string }
  | { type: "leave"; member: Member }
  | { type: "say"; member: Member; text: string }
  | News;

const broker = new URL(process.env["BROKER"] ?? "nats://localhost:4222");

const room = await start({
  init: () => new Map<Member, string>(),
  loop(members, event: Event) {
    const tell = (text: string) => {
      const frame = mist.prepareFrame(text);
      for (const member of members.keys()) member.send(frame);
    };
    /** To the rooms of all processes, or to ours alone. */
    const announce = (text: string) => {
      if (!bus.publish(text)) tell(`${text} (only here)`);
    };
    switch (event.type) {
      case "join":
        members.set(event.member, event.name);
        return announce(`* ${event.name} joined`);
      case "leave":
        announce(`* ${members.get(event.member)} left`);
        members.delete(event.member);
        return;
      case "say":
        return announce(`${members.get(event.member)}: ${event.text}`);
      case "heard":
        return tell(event.text);
      case "linked":
        return console.log(`linked to the broker on ${broker.host}`);
      case "unlinked":
        return console.log(`no broker on ${broker.host}: ${event.error}`);
    }
  },
});

const bus = link(broker.hostname, Number(broker.port || 4222), (news) => room.subject.send(news));

const server = await mist
  .new((request) => {
    if (request.path === "/ws") return join(request);
    if (request.path !== "/") return mist.response(404);
    return mist.html(PAGE);
  })
  .port(Number(process.env["PORT"] ?? 4006))
  .afterStart(({ port }) => console.log(`chat on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    // Our people leave first, and the others hear of it.
    await server.stop({ deadlineMs: 5_000 });
    await bus.stop();
    await room.stop();
  });

function join(request: mist.Request): mist.ServerResponse {
  const name = new URLSearchParams(request.query).get("name")?.slice(0, 20) || "someone";
  return mist.websocket({
    request,
    onInit(conn: mist.WebSocket<mist.PreparedFrame>) {
      room.subject.send({ type: "join", member: conn.subject, name });
      return conn.subject;
    },
    async handler(member, message, conn) {
      if (message.type === "text")
        room.subject.send({ type: "say", member, text: message.data.slice(0, 500) });
      if (message.type === "user") await conn.sendPrepared(message.message);
    },
    onClose: (member) => room.subject.send({ type: "leave", member }),
  });
}
