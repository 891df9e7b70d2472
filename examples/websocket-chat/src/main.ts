// A chat room: one actor knows who is here, one WebSocket each carries what is said. What the room says is encoded
// once for all of them.

import { type Subject, start } from "@x/glisten/actor";
import * as mist from "@x/mist";
import { PAGE } from "./page.ts";

type Member = Subject<mist.PreparedFrame>;
type Event =
  | { type: "join"; member: Member; name: string }
  | { type: "leave"; member: Member }
  | { type: "say"; member: Member; text: string };

const room = await start({
  init: () => new Map<Member, string>(),
  loop(members, event: Event) {
    const tell = (text: string) => {
      const frame = mist.prepareFrame(text);
      for (const member of members.keys()) member.send(frame);
    };
    const name = members.get(event.member);
    switch (event.type) {
      case "join":
        members.set(event.member, event.name);
        return tell(`* ${event.name} joined, ${members.size} here`);
      case "leave":
        members.delete(event.member);
        return tell(`* ${name} left`);
      case "say":
        return tell(`${name}: ${event.text}`);
    }
  },
});

const server = await mist
  .new((request) => {
    if (request.path === "/ws") return join(request);
    if (request.path !== "/") return mist.response(404);
    return mist.html(PAGE);
  })
  .port(Number(process.env["PORT"] ?? 4004))
  .afterStart(({ port }) => console.log(`chat on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    await server.stop({ deadlineMs: 5_000 });
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
      switch (message.type) {
        case "text":
          room.subject.send({ type: "say", member, text: message.data.slice(0, 500) });
          break;
        case "user":
          await conn.sendPrepared(message.message);
      }
    },
    onClose: (member) => room.subject.send({ type: "leave", member }),
  });
}
