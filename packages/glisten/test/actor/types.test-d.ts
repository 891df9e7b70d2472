// Types of the actor library and of `glisten.new`, checked by tsc with the rest of the tests; nothing here is run.

import * as actor from "../../src/actor/index.ts";
import * as glisten from "../../src/index.ts";

declare const onlyA: actor.Subject<"a">;
declare const both: actor.Subject<"a" | "b">;
declare const lines: actor.Selector<string>;

export const same: actor.Subject<"a"> = onlyA;
// @ts-expect-error A subject of one kind of message does not take the other.
export const wider: actor.Subject<"a" | "b"> = onlyA;
// @ts-expect-error A subscriber of "a" would hear "b".
export const narrower: actor.Subject<"a"> = both;
export const source: actor.Source<"a" | "b"> = onlyA;

// ---- actor.start: the message is what the loop says, whether or not `init` takes a parameter ---------------------

type Add = { readonly add: number };

export const plain: Promise<actor.ActorRef<Add>> = actor.start({
  init: () => 0,
  loop: (count, message: Add) => actor.continue(count + message.add),
});

export const withSelf: Promise<actor.ActorRef<Add>> = actor.start({
  init(self) {
    self.subject.send({ add: 1 });
    return 0;
  },
  loop: (count, message: Add) => actor.continue(count + message.add),
});

export const ofSelector: Promise<actor.ActorRef<string>> = actor.start({
  init: (self) => [self.alive ? 1 : 0, lines],
  loop: (count, line) => actor.continue(count + line.length),
});

void actor.start<number, string>({
  init(self) {
    // @ts-expect-error With the message type given, `init` is held to it.
    self.subject.send(1);
    return 0;
  },
  loop: () => {},
});

// ---- glisten.new -------------------------------------------------------------------------------------------------

export const packets: glisten.HandlerBuilder<number, never> = glisten.new(
  (connection) => connection.id,
  (id, message, connection) => {
    if (message.type === "packet") connection.write(message.data);
    return glisten.continue(id);
  },
);

export const told: glisten.HandlerBuilder<number, string> = glisten.new(
  (connection) => {
    connection.subject.send("hello");
    return 0;
  },
  (count, message: glisten.Message<string>, connection) => {
    if (message.type === "user") connection.write(message.message);
    return glisten.continue(count + 1);
  },
);

export const heard: glisten.HandlerBuilder<number, string> = glisten.new(
  (connection) => [connection.id, lines],
  (_id, message, connection) => {
    if (message.type === "user") connection.write(message.message.trim());
  },
);

void glisten.new<number, string>(
  (connection) => {
    // @ts-expect-error With the message type given, `init` is held to it.
    connection.subject.send(1);
    return 0;
  },
  () => {},
);
