import { Duplex } from "node:stream";
import { connect } from "node:tls";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { parseClientHello } from "../../src/transport/client-hello.ts";

/** What Node's client says first. */
async function helloFor(servername: string): Promise<Buffer> {
  return await new Promise((resolve) => {
    const wire = new Duplex({ read() {}, write: (chunk: Buffer) => resolve(chunk) });
    connect({ socket: wire, servername }).on("error", () => {});
  });
}

/** The same message in records of at most `size` bytes (RFC 8446 §5.1 allows it). */
function fragmented(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(records);
}

let hello: Buffer;
beforeAll(async () => {
  hello = await helloFor("Some.example");
});

const NAMED = { type: "hello", serverName: "some.example" };

describe("the server name in a ClientHello", () => {
  it("is read whole, with bytes behind it, and in small records", () => {
    expect(parseClientHello(hello)).toEqual(NAMED);
    expect(parseClientHello(Buffer.concat([hello, Buffer.alloc(10, 23)]))).toEqual(NAMED);
    for (const parts of [2, 5, 15])
      expect(parseClientHello(fragmented(hello, Math.ceil(hello.length / parts)))).toEqual(NAMED);
  });

  it("needs all of the message, however it arrives", () => {
    for (const bytes of [hello, fragmented(hello, Math.ceil(hello.length / 7))]) {
      for (let length = 0; length < bytes.length; length += 1) {
        expect(parseClientHello(bytes.subarray(0, length))).toEqual({ type: "need-more" });
      }
    }
  });

  it("may be missing", async () => {
    expect(parseClientHello(await helloFor(""))).toEqual({ type: "hello", serverName: undefined });
  });

  it.each([
    ["text", Buffer.from("GET / HTTP/1.1\r\n")],
    ["another record", Buffer.from([23, 3, 3, 0, 1, 0])],
    ["another handshake message", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["a message beyond measure", Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])],
    ["an empty hello", Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0])],
    ["other handshakes behind the first record", Buffer.from([22, 3, 1, 0, 2, 1, 0, 23, 3, 3, 0, 1, 0])],
  ])("%s names nobody", (_, bytes) => {
    expect(parseClientHello(bytes)).toEqual({ type: "hello", serverName: undefined });
  });

  it("any bytes, and any damage to a hello, give an answer, the same however they are split", () => {
    const damaged = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }).map((changes) => {
      const bytes = Buffer.from(hello);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes;
    });
    const input = fc.oneof(
      damaged,
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(input, fc.nat(400), (bytes, cut) => {
        const whole = parseClientHello(bytes);
        const early = parseClientHello(bytes.subarray(0, cut));
        if (early.type === "hello") expect(early).toEqual(whole);
      }),
      { numRuns: 1000 },
    );
  });

  it("never waits for more than a bounded number of bytes", () => {
    expect(parseClientHello(fragmented(hello, 1))).toEqual({ type: "hello", serverName: undefined });
    const endless = Buffer.concat([
      Buffer.from([22, 3, 1, 0xff, 0xff, 1, 0, 0x40, 0]),
      Buffer.alloc(1 << 14),
    ]);
    expect(parseClientHello(endless)).toEqual({ type: "hello", serverName: undefined });
  });
});
