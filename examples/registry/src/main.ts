// A registry of connections: an actor that hears of everyone who comes and goes, and sends to all what one says.

import * as glisten from "@x/glisten";
import { type Subject, start } from "@x/glisten/actor";

/** What a connection may be sent by others. */
type Line = string;
type Member = Subject<Line>;
type Event =
  | { type: "connected"; member: Member }
  | { type: "disconnected"; member: Member }
  | { type: "said"; member: Member; line: Line };

const registry = await start({
  init: () => new Set<Member>(),
  loop(members, event: Event) {
    const tell = (line: Line, except?: Member) => {
      for (const member of members) if (member !== except) member.send(line);
    };
    switch (event.type) {
      case "connected":
        members.add(event.member);
        tell(`* someone came, ${members.size} are here\n`);
        break;
      case "disconnected":
        members.delete(event.member);
        tell(`* someone left, ${members.size} are here\n`);
        break;
      case "said":
        tell(event.line, event.member);
    }
  },
});

const server = await glisten
  .new(
    (conn: glisten.Connection<Line>) => {
      registry.subject.send({ type: "connected", member: conn.subject });
      return conn.subject;
    },
    async (member, message, conn) => {
      if (message.type === "user") await conn.send(message.message);
      else registry.subject.send({ type: "said", member, line: message.data.toString() });
    },
  )
  .withClose((member) => registry.subject.send({ type: "disconnected", member }))
  .start(Number(process.env["PORT"] ?? 3002));

console.log(`registry on port ${server.port}; try: nc localhost ${server.port} in two terminals`);
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    await server.stop({ deadlineMs: 1_000 });
    await registry.stop();
  });
