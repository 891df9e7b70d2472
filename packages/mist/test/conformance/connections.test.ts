// RFC 9112 §6 and §9, RFC 9110 §6 to §15: what the answers look like, how long a connection lasts, who waits for whom.

import { describe, expect, it } from "vitest";
import { type Answer, overBothTransports } from "./origin.ts";

const behind = "GET /target HTTP/1.1\r\nhost: behind\r\n\r\n";
const ask = (path: string, fields = "", version = "1.1", method = "GET") =>
  `${method} ${path} HTTP/${version}\r\nhost: a\r\n${fields}\r\n`;

const persistent: readonly (readonly [name: string, request: string, connection: string | undefined])[] = [
  ["HTTP/1.1", ask("/unread"), undefined],
  ["HTTP/1.1 with an option nobody knows", ask("/unread", "connection: x-option\r\n"), undefined],
  ["HTTP/1.1 that says keep-alive", ask("/unread", "connection: keep-alive\r\n"), undefined],
  ["HTTP/1.0 that says keep-alive", ask("/unread", "connection: keep-alive\r\n", "1.0"), "keep-alive"],
  ["HTTP/1.0 that says Keep-Alive", ask("/unread", "Connection: Keep-Alive\r\n", "1.0"), "keep-alive"],
  ["a 204", ask("/204"), undefined],
  ["a 304", ask("/304"), undefined],
  ["HEAD", ask("/unread", "", "1.1", "HEAD"), undefined],
  ["a streamed answer", ask("/stream"), undefined],
  ["close as part of another word", ask("/unread", "connection: closed, not-close\r\n"), undefined],
];

const last: readonly (readonly [name: string, request: string])[] = [
  ["HTTP/1.1 that says close", ask("/unread", "connection: close\r\n")],
  ["HTTP/1.1 that says CLOSE among others", ask("/unread", "connection: x-a,CLOSE , x-b\r\n")],
  ["HTTP/1.1 that says close in a second field", ask("/unread", "connection: x-a\r\nconnection: close\r\n")],
  ["HTTP/1.1 that says both", ask("/unread", "connection: keep-alive, close\r\n")],
  ["HTTP/1.0", ask("/unread", "", "1.0")],
  [
    "HTTP/1.0 with a streamed answer, which only the close ends",
    ask("/stream", "connection: keep-alive\r\n", "1.0"),
  ],
  ["a handler that says close", ask("/close")],
  ["a handler that fails", ask("/crash")],
];

overBothTransports((origin) => {
  describe("§9.3 goes on behind", () => {
    it.each(persistent)("%s", async (_, request, connection) => {
      const answers = await origin.ask(request + behind);
      expect(answers.length).toBe(2);
      expect(answers[0]?.fields.connection).toBe(connection);
    });
  });

  describe("§9.6 closes behind", () => {
    it.each(last)("%s", async (_, request) => {
      const answers = await origin.ask(request + behind);
      expect(answers.length).toBe(1);
      expect(answers[0]?.fields.connection).toBe("close");
    });

    it("without waiting for the client to do so", async () => {
      const socket = await origin.connect();
      await socket.send(ask("/close"));
      expect((await socket.receiveToEnd({ timeout: 5000 })).toString()).toMatch(/bye$/);
      await socket.close();
    });
  });

  describe("RFC 9110 §6.6.1", () => {
    it.each(["/unread", "/204", "/304", "/crash", "/stream", "/close"])(
      "there is one date in %s",
      async (path) => {
        const [answer] = await origin.ask(ask(path));
        const told = Date.parse(answer?.fields.date ?? "");
        expect(Math.abs(told - Date.now())).toBeLessThan(10_000);
      },
    );
  });

  describe("RFC 9110 §9.3.2", () => {
    it.each(["/unread", "/204", "/304", "/stream", "/crash", "/close"])(
      "HEAD %s is GET without content",
      async (path) => {
        const [get] = (await origin.ask(ask(path))) as [Answer];
        const [head] = (await origin.ask(ask(path, "", "1.1", "HEAD"))) as [Answer];
        const { "transfer-encoding": _, date: __, ...fields } = get.fields;
        const { date: ___, ...headed } = head.fields;
        expect([head.status, headed, head.body]).toEqual([get.status, fields, ""]);
      },
    );
  });

  describe("RFC 9110 §8.6, RFC 9112 §6.1", () => {
    it.each([
      ["/204", ask("/204"), undefined, undefined],
      ["/304", ask("/304"), undefined, undefined],
      ["/unread", ask("/unread"), "6", undefined],
      ["/stream", ask("/stream"), undefined, "chunked"],
      ["/stream, HTTP/1.0", ask("/stream", "", "1.0"), undefined, undefined],
    ])("%s has one framing at most", async (_, request, length, coding) => {
      const [answer] = await origin.ask(request);
      expect(answer?.fields["content-length"]).toBe(length);
      expect(answer?.fields["transfer-encoding"]).toBe(coding);
      expect(answer?.version).toBe("HTTP/1.1");
    });
  });

  describe("RFC 9110 §10.1.1", () => {
    const post = (fields: string, content = "", version = "1.1") =>
      `POST / HTTP/${version}\r\nhost: a\r\n${fields}\r\n${content}`;

    it.each<[string, string, number[]]>([
      [
        "sent with the content: no 100 is due",
        post("expect: 100-continue\r\ncontent-length: 2\r\n", "hi"),
        [200, 200],
      ],
      ["without content: none is due", post("expect: 100-continue\r\n"), [200, 200]],
      [
        "from HTTP/1.0: ignored",
        post("expect: 100-continue\r\ncontent-length: 2\r\nconnection: keep-alive\r\n", "hi", "1.0"),
        [200, 200],
      ],
      ["in another case", post("Expect: 100-Continue\r\ncontent-length: 2\r\n", "hi"), [200, 200]],
      ["another expectation", post("expect: 200-ok\r\ncontent-length: 2\r\n", "hi"), [417]],
      [
        "another expectation beside it",
        post("expect: 100-continue, x\r\ncontent-length: 2\r\n", "hi"),
        [417],
      ],
      [
        "another expectation from HTTP/1.0: ignored",
        post("expect: x\r\nconnection: keep-alive\r\n", "", "1.0"),
        [200, 200],
      ],
    ])("100-continue %s", async (_, request, statuses) => {
      const answers = await origin.ask(request + behind);
      expect(answers.map((answer) => answer.status)).toEqual(statuses);
    });

    it("waited for and not given: the content that comes all the same is no request", async () => {
      const socket = await origin.connect();
      await socket.send(
        `POST /unread HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: ${behind.length}\r\n\r\n`,
      );
      const head = await socket.receiveUntil("unread", { timeout: 5000 });
      expect(head.toString()).toMatch(/^HTTP\/1\.1 200 .*connection: close\r\n/s);
      await socket.send(behind).catch(() => {});
      expect((await socket.receiveToEnd({ timeout: 5000 })).length).toBe(0);
      await socket.close();
    });
  });
});
