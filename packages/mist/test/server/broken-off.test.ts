// What was answered before a response that is broken off still reaches the client.

import { once } from "node:events";
import * as mist from "@x/mist";
import { describe, expect, test } from "vitest";

async function received(requests: string, halfCloses: boolean): Promise<string> {
  await using server = await mist
    .new((request) => {
      if (request.path === "/whole") return mist.response(200).setBody("w".repeat(20_000));
      return mist.response(200).setBody(
        mist.chunked(
          (function* () {
            yield "piece";
            throw new Error("the producer fails");
          })(),
        ),
      );
    })
    .afterStart(() => {})
    .onError(() => {})
    .start({ memory: true });
  const client = await server.connect({ highWaterMark: 1_000 });
  let text = "";
  client.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  client.on("error", () => {});
  client.write(requests);
  if (halfCloses) client.end();
  await once(client, "end");
  client.end();
  return text;
}

const whole = "GET /whole HTTP/1.1\r\nhost: a\r\n\r\n";
const fails = "GET /fails HTTP/1.1\r\nhost: a\r\n\r\n";

describe("the answer before one that is broken off is whole", () => {
  test.each([
    ["its producer fails", whole + fails, false],
    ["requests behind it wait", whole + fails + whole + whole, false],
    ["the client has half-closed", whole + fails, true],
  ])("when %s", async (_, requests, halfCloses) => {
    const text = await received(requests, halfCloses);
    expect(text.split("w".repeat(20_000))).toHaveLength(2);
    expect(text.endsWith("0\r\n\r\n")).toBe(false);
  });
});
