// The chat room: one actor that knows who is here, and one WebSocket for each of them.

import { type Subject, start } from "@x/glisten/actor";
import * as mist from "@x/mist";

const MAX_NAME = 24;
const MAX_TEXT = 500;
/** What a newcomer is told of what was said before. */
const REMEMBERED = 30;

type Member = Subject<mist.PreparedFrame>;
type Event =
  | { readonly type: "join"; readonly member: Member; readonly name: string }
  | { readonly type: "leave"; readonly member: Member }
  | { readonly type: "rename"; readonly member: Member; readonly name: string }
  | { readonly type: "say"; readonly member: Member; readonly text: string };

/** What the page is told. Instants in milliseconds since 1970. */
type News =
  | { readonly type: "people"; readonly names: readonly string[] }
  | { readonly type: "note"; readonly at: number; readonly text: string }
  | { readonly type: "said"; readonly at: number; readonly name: string; readonly text: string };

class Room {
  readonly #members = new Map<Member, string>();
  readonly #said: mist.PreparedFrame[] = [];

  join(member: Member, name: string): void {
    for (const frame of this.#said) member.send(frame);
    this.#members.set(member, name);
    this.#note(`${name} came in`);
  }

  leave(member: Member): void {
    const name = this.#members.get(member);
    if (!this.#members.delete(member)) return;
    this.#note(`${name} left`);
  }

  rename(member: Member, name: string): void {
    const before = this.#members.get(member);
    if (before === undefined || before === name) return;
    this.#members.set(member, name);
    this.#note(`${before} is now ${name}`);
  }

  say(member: Member, text: string): void {
    const name = this.#members.get(member);
    if (name === undefined) return;
    this.#said.push(this.#tell({ type: "said", at: Date.now(), name, text }));
    if (this.#said.length > REMEMBERED) this.#said.shift();
  }

  #note(text: string): void {
    this.#tell({ type: "note", at: Date.now(), text });
    this.#tell({ type: "people", names: [...this.#members.values()] });
  }

  /** Encodes once, sends to all. */
  #tell(news: News): mist.PreparedFrame {
    const frame = mist.prepareFrame(JSON.stringify(news));
    for (const member of this.#members.keys()) member.send(frame);
    return frame;
  }
}

/** Opens the room; `join` answers a request to come in. */
export async function startRoom(): Promise<{
  join(request: mist.Request): mist.ServerResponse;
  close(): Promise<void>;
}> {
  const room = await start({
    name: "room",
    init: () => new Room(),
    loop(state, event: Event) {
      if (event.type === "join") state.join(event.member, event.name);
      else if (event.type === "leave") state.leave(event.member);
      else if (event.type === "rename") state.rename(event.member, event.name);
      else state.say(event.member, event.text);
    },
  });
  return {
    join: (request) => join(request, room.subject),
    async close() {
      await room.stop();
    },
  };
}

function join(request: mist.Request, room: Subject<Event>): mist.ServerResponse {
  const name = tidy(new URLSearchParams(request.query).get("name"), MAX_NAME) || "Somebody";
  return mist.websocket({
    request,
    onInit(conn: mist.WebSocket<mist.PreparedFrame>) {
      room.send({ type: "join", member: conn.subject, name });
      return conn.subject;
    },
    async handler(member, message, conn) {
      if (message.type === "user") await conn.sendPrepared(message.message);
      else if (message.type === "text") hear(room, member, message.data);
    },
    onClose: (member) => room.send({ type: "leave", member }),
  });
}

/** What a page says: `{"type": "say", "text": "…"}` or `{"type": "rename", "name": "…"}`; all else is nothing. */
function hear(room: Subject<Event>, member: Member, data: string): void {
  let said: { type?: unknown; text?: unknown; name?: unknown } | null;
  try {
    said = JSON.parse(data);
  } catch {
    return;
  }
  const text = tidy(said?.text, MAX_TEXT);
  const name = tidy(said?.name, MAX_NAME);
  if (said?.type === "say" && text !== "") room.send({ type: "say", member, text });
  if (said?.type === "rename" && name !== "") room.send({ type: "rename", member, name });
}

function tidy(value: unknown, max: number): string {
  return typeof value === "string" ? value.trim().slice(0, max) : "";
}
