import { Buffer } from "node:buffer";
import fc from "fast-check";
import { expect, test } from "vitest";
import { advanceMaskingKey, applyMask, readMaskingKey } from "../../src/websocket/mask.ts";

const octets = fc.uint8Array({ minLength: 4, maxLength: 4 });

function maskPlainly(payload: Uint8Array, key: Uint8Array): Buffer {
  return Buffer.from(payload.map((octet, index) => octet ^ key[index % 4]!));
}

test("masks as RFC 6455 §5.3 says, wherever the payload stands, and touches nothing around it", () => {
  fc.assert(
    fc.property(
      octets,
      fc.uint8Array({ maxLength: 700 }),
      fc.nat(9),
      fc.nat(3),
      (key, payload, at, shift) => {
        const room = new Uint8Array(payload.length + at + 20).fill(0xee);
        const bytes = Buffer.from(room.buffer, shift, room.length - shift);
        bytes.set(payload, at);
        applyMask(bytes, at, at + payload.length, readMaskingKey(key, 0));
        expect(bytes.subarray(at, at + payload.length).equals(maskPlainly(payload, key))).toBe(true);
        bytes.fill(0xee, at, at + payload.length);
        expect(room.every((octet) => octet === 0xee)).toBe(true);
      },
    ),
  );
});

test("a payload cut anywhere is masked as if it were whole", () => {
  fc.assert(
    fc.property(
      octets,
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc.nat(),
      (octetKey, payload, where) => {
        const cut = where % payload.length;
        const bytes = Buffer.from(payload);
        const key = readMaskingKey(octetKey, 0);
        applyMask(bytes, 0, cut, key);
        applyMask(bytes, cut, bytes.length, advanceMaskingKey(key, cut));
        expect(bytes.equals(maskPlainly(payload, octetKey))).toBe(true);
      },
    ),
  );
});

test("tells whether a short result is ASCII", () => {
  const key = readMaskingKey(Buffer.from([0x80, 0x80, 0x80, 0x80]), 0);
  expect(applyMask(Buffer.from([0xe1, 0xe2, 0xe3, 0xe4, 0xe5]), 0, 5, key)).toBeLessThan(0x80);
  expect(applyMask(Buffer.from([0xe1, 0x62, 0xe3, 0xe4, 0xe5]), 0, 5, key)).toBeGreaterThanOrEqual(0x80);
  expect(applyMask(Buffer.from([0xe1, 0xe2, 0xe3, 0xe4, 0x65]), 0, 5, key)).toBeGreaterThanOrEqual(0x80);
});
