import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { isSendableCloseCode } from "../../src/websocket/close-code.ts";
import { decodeClosePayload, encodeClosePayload } from "../../src/websocket/close-payload.ts";

describe("which codes may be sent (RFC 6455 §7.4)", () => {
  test.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])(
    "%i may",
    (code) => {
      expect(isSendableCloseCode(code)).toBe(true);
      expect(decodeClosePayload(encodeClosePayload(code, "why"))).toEqual({ code, reason: "why" });
    },
  );

  test.each([0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535, 1000.5, Number.NaN])(
    "%d may not",
    (code) => {
      expect(isSendableCloseCode(code)).toBe(false);
    },
  );

  test.each([0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])(
    "%i is refused with 1002",
    (code) => {
      const payload = Buffer.from([code >> 8, code & 255]);
      expect(() => decodeClosePayload(payload)).toThrow(expect.objectContaining({ closeCode: 1002 }));
    },
  );
});

test("no payload means 1005, and 1005 means no payload", () => {
  expect(decodeClosePayload(Buffer.alloc(0))).toEqual({ code: 1005, reason: "" });
  expect(encodeClosePayload(1005, "ignored").length).toBe(0);
});

test("a payload of one octet is a protocol error", () => {
  expect(() => decodeClosePayload(Buffer.from([3]))).toThrow(expect.objectContaining({ closeCode: 1002 }));
});

test("a reason that is not UTF-8 is an invalid payload", () => {
  const payload = Buffer.from([0x03, 0xe8, 0xce, 0xba, 0xe1]);
  expect(() => decodeClosePayload(payload)).toThrow(expect.objectContaining({ closeCode: 1007 }));
});

test("a reason too long for a control frame is cut at a character", () => {
  expect(encodeClosePayload(1000, "x".repeat(200)).length).toBe(125);
  const { reason } = decodeClosePayload(encodeClosePayload(1000, `x${"€".repeat(50)}`));
  expect(reason).toBe(`x${"€".repeat(40)}`);
});
