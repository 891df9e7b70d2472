// A server in a larger tree: a counter actor and the server that uses it, under one supervisor.
// Commands: `add`, `count`, and `crash`, which breaks the counter; it is started again from zero, the server stays.

import * as glisten from "@x/glisten";
import { type ActorRef, call, continue as next, type Subject, start, supervisor } from "@x/glisten/actor";

type Command = { type: "add" } | { type: "count"; reply: Subject<number> } | { type: "crash" };

let counter: ActorRef<Command>;

async function startCounter(): Promise<ActorRef<Command>> {
  counter = await start({
    name: "counter",
    init: () => 0,
    loop(count, command: Command) {
      if (command.type === "crash") throw new Error("the counter was told to crash");
      if (command.type === "add") return next(count + 1);
      command.reply.send(count);
    },
  });
  return counter;
}

const server = glisten
  .new(
    () => "",
    async (rest, message, conn) => {
      if (message.type !== "packet") return;
      // A packet is not a line: it may hold several, or the first half of one.
      const lines = (rest + message.data).split("\n");
      for (const line of lines.slice(0, -1)) await obey(line.trim(), conn);
      return glisten.continue(lines.at(-1) ?? "");
    },
  )
  .supervised(Number(process.env["PORT"] ?? 3004));

const tree = await supervisor({
  strategy: "one-for-one",
  children: [
    { id: "counter", start: startCounter },
    {
      ...server,
      async start(signal) {
        const started = await server.start(signal);
        console.log(`counting on port ${started.port}; try: nc localhost ${started.port}`);
        return started;
      },
    },
  ],
  onEvent(event) {
    if (event.type === "child-started") console.log(`${event.id} runs`);
    if (event.type === "child-exited") console.log(`${event.id} ended: ${event.reason.type}`);
  },
});

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void tree.stop());

async function obey(command: string, conn: glisten.Connection): Promise<void> {
  if (command === "add" || command === "crash") counter.subject.send({ type: command });
  if (command !== "count") return;
  const count = await call<Command, number>(counter.subject, (reply) => ({ type: "count", reply }), 1_000);
  await conn.send(`${count}\n`);
}
