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

const server = glisten.new(
  () => undefined,
  async (_, message, conn) => {
    if (message.type !== "packet") return;
    const word = message.data.toString().trim();
    if (word === "add" || word === "crash") counter.subject.send({ type: word });
    const count = await call(counter.subject, (reply: Subject<number>) => ({ type: "count", reply }), 1_000);
    await conn.send(`${count}\n`);
  },
);

const tree = await supervisor({
  strategy: "one-for-one",
  children: [
    { id: "counter", start: startCounter },
    {
      ...server.supervised(Number(process.env["PORT"] ?? 3004)),
      id: "server",
    },
  ],
});
console.log("the tree stands");
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void tree.stop());
