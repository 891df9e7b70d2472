// Types of WebSockets and streamed responses, checked by tsc with the rest of the tests; nothing here is run.

import type { Selector } from "@x/glisten/actor";
import * as mist from "../../src/index.ts";

declare const request: mist.Request;
declare const ticks: Selector<number>;

// ---- the message is what the loop says, whether or not `onInit` or `init` takes a parameter ----------------------

mist.websocket({
  request,
  onInit(websocket) {
    websocket.subject.send("hello");
    return 0;
  },
  handler(count, message: mist.WebSocketMessage<string>, websocket) {
    if (message.type === "user") websocket.sendText(message.message);
    websocket.subject.send("again");
    // @ts-expect-error It takes text.
    websocket.subject.send(1);
    return mist.continue(count + 1);
  },
  onClose: (count, { code, reason }) => `${count.toFixed()} ${code.toFixed()} ${reason.trim()}`,
});

mist.websocket({
  request,
  onInit: (websocket) => [websocket.compressed, ticks],
  handler(_state, message, websocket) {
    if (message.type === "user") websocket.sendText(message.message.toFixed());
  },
});

mist.serverSentEvents({
  request,
  init(stream) {
    stream.subject.send(1);
    return "state";
  },
  loop(state, tick: number, stream) {
    stream.sendEvent(mist.event(state + tick.toFixed()));
    // @ts-expect-error It takes numbers.
    stream.subject.send("x");
  },
});

mist.serverSentEvents({
  request,
  init: (stream) => [stream.lastEventId, ticks],
  loop: (id, tick) => mist.continue(id === undefined ? undefined : tick.toFixed()),
});

mist.chunked({
  request,
  response: mist.response(200),
  init(chunks) {
    chunks.sendChunk("begin");
    return 0;
  },
  loop: (count, line: string, chunks) => {
    chunks.sendChunk(line.trim());
    return mist.continue(count + 1);
  },
  onClose: (count, reason) => `${count.toFixed()} ${reason.type}`,
});

mist.chunked<number, string>({
  request,
  response: mist.response(200),
  init(chunks) {
    // @ts-expect-error With the message type given, `init` is held to it.
    chunks.subject.send(1);
    return 0;
  },
  loop: () => {},
});
