import { describe, expect, test } from "vitest";
import { ReceiveBuffer } from "../../src/http/receive-buffer.ts";

const live = (buffer: ReceiveBuffer): string => buffer.bytes.toString("latin1", buffer.start, buffer.end);

describe("the receive buffer", () => {
  test("adopts a packet when it is empty: no copy", () => {
    const buffer = new ReceiveBuffer();
    const packet = Buffer.from("abc");
    buffer.append(packet);
    expect(buffer.bytes).toBe(packet);
    expect(buffer.take(3)).toBe(packet);
    expect([buffer.length, buffer.bytes.length]).toEqual([0, 0]);
  });

  test("joins what straddles packets", () => {
    const buffer = new ReceiveBuffer();
    buffer.append(Buffer.from("abcdef"));
    expect(String(buffer.take(2))).toBe("ab");
    buffer.append(Buffer.from("ghi"));
    buffer.append(Buffer.from("j"));
    expect([live(buffer), buffer.length]).toEqual(["cdefghij", 8]);
    buffer.consumeTo(buffer.start + 3);
    expect(live(buffer)).toBe("fghij");
  });

  test("what was taken stays as it was when more arrives", () => {
    const buffer = new ReceiveBuffer();
    buffer.append(Buffer.from("a"));
    buffer.append(Buffer.from("bcd"));
    const taken = buffer.take(2);
    for (let i = 0; i < 2000; i++) buffer.append(Buffer.from("xyz"));
    expect(String(taken)).toBe("ab");
    expect(live(buffer)).toBe(`cd${"xyz".repeat(2000)}`);
  });

  test("a byte at a time is copied a linear number of times", () => {
    const buffer = new ReceiveBuffer();
    const allocations = new Set<unknown>();
    for (let i = 0; i < 16_384; i++) {
      buffer.append(Buffer.from("x"));
      allocations.add(buffer.bytes);
    }
    expect(allocations.size).toBeLessThan(10);
  });
});
