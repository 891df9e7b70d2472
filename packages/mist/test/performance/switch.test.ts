// Everything works with each measure left out: the very tests that hold with it, on a fresh copy of the modules.

import { Buffer } from "node:buffer";
import { createDeflateRaw, createInflateRaw } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { binary, text } from "../websocket/client-frames.ts";

const canFree = "transfer" in ArrayBuffer.prototype;

beforeEach(() => vi.resetModules());
afterEach(() => vi.unstubAllEnvs());

async function echoOnce(extensions?: string): Promise<string[]> {
  const { openOnStream } = await import("../server/memory-stream.ts");
  const { feed, stream } = openOnStream({ compression: true }, extensions);
  const payload = Buffer.alloc(70_000, "abcd");
  await feed(text(payload), binary(payload));
  return stream.frames().map(({ opcode, payload: echoed }) => `${opcode} ${echoed.equals(payload)}`);
}

describe.each([
  ["free", { free: false, step: true }],
  ["zlib-step", { free: true, step: false }],
  ["free,zlib-step", { free: false, step: false }],
  ["", { free: true, step: true }],
])("MIST_WITHOUT=%s", (without, taken) => {
  beforeEach(() => void vi.stubEnv("MIST_WITHOUT", without));

  test.runIf(canFree)("gives packets back by hand, or does not", async () => {
    const { free } = await import("../../src/performance/free.ts");
    const packet = Buffer.allocUnsafeSlow(5000);
    free(packet);
    expect(packet.buffer.byteLength === 0).toBe(taken.free);
  });

  test("finds zlib's step, or does not", async () => {
    const { stepOf } = await import("../../src/performance/zlib-step.ts");
    const streams = [createDeflateRaw(), createInflateRaw()];
    for (const stream of streams) {
      expect(stepOf(stream) !== undefined).toBe(taken.step);
      stream.close();
    }
  });

  test("messages come back whole", async () => {
    expect(await echoOnce()).toEqual(["1 true", "2 true"]);
  });

  test("compressed messages come back whole, small and large", async () => {
    const { PermessageDeflate } = await import("../../src/server/websocket/permessage-deflate.ts");
    const deflate = new PermessageDeflate({
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 15,
      clientMaxWindowBits: 15,
      level: 6,
      memLevel: 8,
      maxMessageBytes: 1 << 24,
      maxInflateRatio: 200,
      synchronous: true,
    });
    for (const size of [10, 1000, 70_000]) {
      const data = Buffer.alloc(size, "abcd");
      const deflated = deflate.deflate(data, size);
      expect(deflated instanceof Promise).toBe(!taken.step || size > 16_384);
      expect(Buffer.from(await deflate.inflate(Buffer.from(await deflated))).equals(data)).toBe(true);
    }
  });
});
