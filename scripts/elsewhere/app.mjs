// The mist server of the smoke run.

import * as mist from "@x/mist";

export function app() {
  return quiet(
    mist.new(async (request) => {
      const answer = mist.response(200);
      switch (request.path) {
        case "/":
          return answer.setBody(mist.bytes("hello, mist"));
        case "/echo":
          return answer.setBody(mist.bytes(await mist.readBody(request, { maxBodyLimit: 1 << 20 })));
        case "/length": {
          let length = 0;
          for await (const piece of mist.stream(request)) length += piece.length;
          return answer.setBody(mist.bytes(String(length)));
        }
        case "/chunked":
          return answer.setBody(mist.chunked(["one ", "two ", "three"]));
        case "/slow":
          return answer.setBody(mist.chunked(slowly()));
        case "/events":
          return mist.serverSentEvents({
            request,
            init: (/** @type {mist.EventStream<string>} */ stream) => stream.subject.send("now"),
            loop: (_, text, stream) => {
              stream.sendEvent(mist.event(text));
              return mist.stop();
            },
          });
        case "/ws":
          return mist.websocket({
            request,
            onInit: () => 0,
            handler: async (_, message, conn) => {
              if (message.type === "text") await conn.sendText(message.data);
            },
          });
        default:
          return mist.sendFile(request.path, { root: ".", request });
      }
    }),
  );
}

/**
 * Listens on a free port and does not print where.
 *
 * @param {mist.Builder} builder
 */
export function quiet(builder) {
  return builder.port(0).afterStart(() => {});
}

async function* slowly() {
  yield "first, ";
  await new Promise((resolve) => setTimeout(resolve, 500));
  yield "last";
}
