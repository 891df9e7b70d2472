// The order of what is written, and how much of it leaves together, whatever the socket takes.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Output } from "../../src/server/http1/output.ts";

/** A connection that notes each write, and takes as many as it is told before it is full. */
class Socket {
  readonly writes: Buffer[] = [];
  readonly sent: (() => void)[] = [];
  takes = Number.POSITIVE_INFINITY;
  readonly bytesWritten = 0;
  readonly bufferedAmount = 0;

  write(
    data: string | Uint8Array | readonly (string | Uint8Array)[],
    encoding: "utf8" | "latin1" = "utf8",
    onSent?: () => void,
  ): boolean {
    const parts = typeof data === "string" || data instanceof Uint8Array ? [data] : data;
    this.writes.push(
      Buffer.concat(
        parts.map((part) => (typeof part === "string" ? Buffer.from(part, encoding) : Buffer.from(part))),
      ),
    );
    onSent?.();
    return --this.takes > 0;
  }
}

function outputOn(socket: Socket): Output {
  return new Output(socket as unknown as Connection);
}

const kibi = (count: number, fill = "x"): Buffer => Buffer.alloc(count * 1024, fill);

describe("the output", () => {
  it("has text, large content and the text behind it leave in one write", () => {
    const socket = new Socket();
    const output = outputOn(socket);
    output.write(["10000\r\n", kibi(64), "\r\n"]);
    expect(output.room.blocked).toBe(false);
    expect(output.length).toBe(0);
    expect(socket.writes.map(String)).toEqual([`10000\r\n${kibi(64)}\r\n`]);
  });

  it("has small content leave with everything else in the turn", () => {
    const socket = new Socket();
    const output = outputOn(socket);
    for (const text of ["one", "two"]) output.write([Buffer.from(text), ";"]);
    expect(socket.writes).toEqual([]);
    output.flush();
    expect(socket.writes.map(String)).toEqual(["one;two;"]);
  });

  const write = fc.record({
    size: fc.oneof(fc.nat(300), fc.constantFrom(4096, 4097, 65_536, 131_072, 131_073, 400_000)),
    asText: fc.boolean(),
    suffix: fc.constantFrom("", "\r\n"),
    tellsWhenSent: fc.boolean(),
  });
  const step = fc.oneof(
    { weight: 4, arbitrary: write },
    { weight: 2, arbitrary: fc.constantFrom("flush" as const, "drain" as const) },
    { weight: 1, arbitrary: fc.nat(3) },
  );

  it("keeps the order, and tells of each piece once", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const socket = new Socket();
        const output = outputOn(socket);
        const expected: Buffer[] = [];
        let due = 0;
        let told = 0;
        steps.forEach((each, i) => {
          if (each === "flush") output.flush();
          else if (each === "drain") output.room.open();
          else if (typeof each === "number") socket.takes = each;
          else {
            const bytes = Buffer.alloc(each.size, String.fromCharCode(97 + (i % 26)));
            const onSent = each.tellsWhenSent && !each.asText ? () => void told++ : undefined;
            if (onSent !== undefined) due++;
            output.write([each.asText ? bytes.toString("latin1") : bytes, each.suffix], onSent);
            expected.push(bytes, Buffer.from(each.suffix));
          }
        });
        output.flush();
        expect(Buffer.concat(socket.writes).equals(Buffer.concat(expected))).toBe(true);
        expect(output.length).toBe(0);
        expect(told).toBe(due);
      }),
      { numRuns: 300 },
    );
  });
});
