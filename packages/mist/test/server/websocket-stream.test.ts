// What a WebSocket does with its byte stream: writes, deadlines, the end of it. No socket, and time passes by hand.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type * as mist from "../../src/index.ts";
import type { ByteStream } from "../../src/server/exchange/byte-stream.ts";
import { PermessageDeflate } from "../../src/server/websocket/permessage-deflate.ts";
import { close, ping, pong, text } from "../websocket/client-frames.ts";
import { openOnStream } from "./memory-stream.ts";

const closeCode = (payload: Buffer): number => payload.readUInt16BE(0);

/** A WebSocket, and its handler's end of it. */
function openHeld(options: Partial<mist.WebSocketOptions<unknown>> = {}) {
  const held: mist.WebSocket[] = [];
  const opened = openOnStream({ ...options, onInit: (websocket) => void held.push(websocket) });
  return { ...opened, websocket: held[0]! };
}

test("a connection of glisten is such a stream", () => {
  const asStream = (connection: Connection): ByteStream => connection;
  expect(asStream).toBeTypeOf("function");
});

describe("writes", () => {
  test("the pings of one read are answered together, in order, in one write", async () => {
    const { stream, feed } = openOnStream();
    await feed(...Array.from({ length: 100 }, (_, i) => ping(`${i}`)));
    expect(stream.writes).toHaveLength(1);
    expect(stream.frames().map(({ opcode, payload }) => [opcode, `${payload}`])).toEqual(
      Array.from({ length: 100 }, (_, i) => [10, `${i}`]),
    );
  });

  test("so are pings between messages", async () => {
    const { stream, feed } = openOnStream();
    await feed(text("a"), ping("1"), text("é"), ping("2"), text("b"));
    expect(stream.writes).toHaveLength(1);
    expect(stream.frames().map(({ payload }) => `${payload}`)).toEqual(["a", "1", "é", "2", "b"]);
  });

  test("the answer to a Close leaves with what was sent before it, and then the stream ends", async () => {
    const { stream, feed } = openOnStream();
    await feed(text("a"), close(4000));
    expect(stream.writes).toHaveLength(1);
    expect(stream.frames().map(({ opcode }) => opcode)).toEqual([1, 8]);
    expect(stream.ended).toBe("close");
  });
});

describe("time", () => {
  const tuning = { pingIntervalMs: 30_000, pongTimeoutMs: 15_000 };

  test("a client is pinged pingIntervalMs after its last byte", async () => {
    const { stream, protocol, feed } = openOnStream(tuning);
    expect(stream.deadlineMs).toBe(30_000);
    stream.deadlineMs = 10_000; // twenty seconds pass
    await feed(text("x").subarray(0, 1));
    expect(stream.deadlineMs).toBe(30_000);
    protocol.deadline?.();
    await new Promise(process.nextTick);
    expect(stream.frames().map(({ opcode }) => opcode)).toEqual([9]);
    expect(stream.deadlineMs).toBe(15_000);
  });

  test("any byte behind a ping is a sign of life, and the next ping is due pingIntervalMs after it", async () => {
    const { stream, protocol, feed } = openOnStream(tuning);
    protocol.deadline?.();
    await feed(pong());
    expect(stream.deadlineMs).toBe(30_000);
    protocol.deadline?.();
    await new Promise(process.nextTick);
    expect(stream.frames().map(({ opcode }) => opcode)).toEqual([9, 9]);
    protocol.deadline?.();
    expect(stream.ended).toBe("reset");
  });

  test("a client that answers nothing is cut off, and the handler hears 1006", async () => {
    const heard: unknown[] = [];
    const { stream, protocol } = openOnStream({
      ...tuning,
      handler: (_state, message) => void heard.push(message),
    });
    protocol.deadline?.();
    protocol.deadline?.();
    expect(stream.ended).toBe("reset");
    expect(heard).toEqual([{ type: "closed", code: 1006, reason: "the client did not answer a ping" }]);
  });

  test("without pings there is no deadline, however much arrives", async () => {
    const { stream, feed } = openOnStream({ pingIntervalMs: 0 });
    await feed(text("x"));
    expect(stream.deadlineMs).toBe(0);
  });

  test("behind our Close only the answer counts: other bytes do not put the deadline off", async () => {
    const { stream, protocol, feed } = openOnStream({
      closeTimeoutMs: 5_000,
      onInit: (websocket) => websocket.close(4000),
    });
    expect(stream.deadlineMs).toBe(5_000);
    stream.deadlineMs = 1_000;
    await feed(text("x"), ping());
    expect(stream.deadlineMs).toBe(1_000);
    expect(stream.frames().map(({ opcode }) => opcode)).toEqual([8, 10]);
    protocol.deadline?.();
    expect(stream.ended).toBe("reset");
  });

  test("once it is closed nothing is waited for", async () => {
    const { stream, feed } = openOnStream();
    await feed(close(1000));
    expect(stream.deadlineMs).toBe(0);
  });
});

describe("a peer that takes nothing", () => {
  test("is not listened to: its messages and pings wait until it has caught up", async () => {
    const seen: unknown[] = [];
    const { stream, protocol, feed } = openOnStream({
      handler(_state, message, websocket) {
        if (message.type === "text") seen.push(message.data);
        void websocket.sendBinary(Buffer.alloc(70_000));
      },
    });
    stream.full = true;
    const handled = feed(text("first"), text("second"), ping("p"));
    await new Promise(setImmediate);
    expect(seen).toEqual(["first"]);
    expect(stream.frames()).toHaveLength(1);
    stream.full = false;
    protocol.drain?.();
    await handled;
    expect(seen).toEqual(["first", "second"]);
    expect(stream.frames().map(({ opcode }) => opcode)).toEqual([2, 10]);
  });

  test("every send waits for the same promise, which resolves when it has caught up", async () => {
    const { stream, protocol, websocket } = openHeld();
    stream.full = true;
    void websocket.sendText("fills it");
    await new Promise(process.nextTick);
    expect(websocket.blocked).toBe(true);
    const [one, other] = [websocket.sendText("one"), websocket.sendBinary(Buffer.from("other"))];
    expect(one).toBe(other);
    let taken = false;
    one.then(() => {
      taken = true;
    });
    await new Promise(setImmediate);
    expect(taken).toBe(false);
    stream.full = false;
    stream.bufferedAmount = 0;
    protocol.drain?.();
    await one;
    expect(websocket.blocked).toBe(false);
  });

  test("is cut off when more than maxBufferedBytes wait for it", async () => {
    const { stream, websocket } = openHeld({ maxBufferedBytes: 1000 });
    stream.full = true;
    void websocket.sendBinary(Buffer.alloc(5000));
    expect(stream.ended).toBeUndefined();
    await expect(websocket.sendText("more")).rejects.toMatchObject({ code: "closed" });
    expect(stream.ended).toBe("reset");
  });

  test("pings of ours count as well", async () => {
    const { stream, websocket } = openHeld({ maxBufferedBytes: 100 });
    stream.full = true;
    for (let i = 0; i < 200 && stream.ended === undefined; i++) {
      void websocket.ping();
      await new Promise(process.nextTick);
    }
    expect(stream.ended).toBe("reset");
  });
});

describe("failures of ours", () => {
  const crash = (): never => {
    throw new Error("crash");
  };

  test.each<[string, Partial<mist.WebSocketOptions<unknown>>, number]>([
    ["a handler that throws", { handler: crash }, 1],
    ["a handler that rejects", { handler: () => Promise.reject(new Error("crash")) }, 1],
    ["an onInit that throws", { onInit: crash }, 1],
    ["an onInit that rejects", { onInit: () => Promise.reject(new Error("crash")) }, 1],
  ])("%s: 1011, told once, and the stream ends", async (_name, options, count) => {
    const { stream, protocol, errors, feed } = openOnStream(options);
    await feed(text("go"));
    await new Promise(setImmediate);
    expect(stream.frames().map(({ payload }) => closeCode(payload))).toEqual([1011]);
    expect(stream.ended).toBe("close");
    expect(errors).toHaveLength(count);
    await protocol.closed?.({ type: "normal" });
    expect(errors).toHaveLength(count);
  });

  test("a message that cannot be compressed: told once, and the client is reset, whatever waits behind it", async () => {
    const deflate = vi.spyOn(PermessageDeflate.prototype, "deflate").mockRejectedValue(new Error("zlib"));
    onTestFinished(() => deflate.mockRestore());
    const heard: unknown[] = [];
    const { stream, errors, feed } = openOnStream(
      {
        compression: { threshold: 0 },
        handler(_state, message, websocket) {
          heard.push(message.type === "closed" ? message.code : message.type);
          if (message.type !== "text") return;
          void websocket.sendText("large");
          void websocket.sendText("behind it");
          websocket.close();
        },
      },
      "permessage-deflate",
    );
    await feed(text("go"));
    await new Promise(setImmediate);
    expect(errors).toMatchObject([{ message: "zlib" }]);
    expect(stream.ended).toBe("reset");
    expect(heard).toEqual(["text", 1006]);
  });
});
