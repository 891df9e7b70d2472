import { Buffer, isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Utf8Validator } from "../../src/websocket/utf8.ts";

/** How many octets pass before the first that no continuation could make right; -1 if all pass. */
function firstRefused(bytes: Uint8Array): number {
  const validator = new Utf8Validator();
  for (let i = 0; i < bytes.length; i++) if (!validator.push(bytes, i, i + 1)) return i;
  return -1;
}

describe("refuses at the first wrong octet", () => {
  // Unicode 15 table 3-7 at its edges, and the vectors of Markus Kuhn's UTF-8 stress test.
  const rows: readonly [name: string, hex: string, refusedAt: number][] = [
    ["ASCII", "48656c6c6f", -1],
    ["all lengths", "24c2a2e282acf09f9882", -1],
    ["first and last of each length", "007fc280dfbfe0a080efbfbff0908080f48fbfbf", -1],
    ["lone continuation", "80", 0],
    ["overlong of two, C0", "c080", 0],
    ["overlong of two, C1", "c1bf", 0],
    ["overlong of three", "e09fbf", 1],
    ["surrogate, first", "eda080", 1],
    ["surrogate, last", "edbfbf", 1],
    ["before the surrogates", "ed9fbf", -1],
    ["overlong of four", "f08fbfbf", 1],
    ["above U+10FFFF", "f4908080", 1],
    ["F5", "f5808080", 0],
    ["five octets", "f888808080", 0],
    ["six octets", "fc8480808080", 0],
    ["FE", "fe", 0],
    ["FF", "ff", 0],
    ["a character cut by ASCII", "e2823132", 2],
    ["a character cut by another", "e282c2a2", 2],
    ["Autobahn 6.4: kosme and U+110000", "cebae1bdb9cf83cebcceb5f4908080656469746564", 12],
  ];
  test.each(rows)("%s", (_name, hex, refusedAt) => {
    expect(firstRefused(Buffer.from(hex, "hex"))).toBe(refusedAt);
  });

  test.each(rows)("%s, inside a long text", (_name, hex, refusedAt) => {
    for (const padding of [0, 1, 47, 48, 200]) {
      const bytes = Buffer.concat([Buffer.alloc(padding, "é"), Buffer.from(hex, "hex")]);
      if (padding % 2 === 1) bytes[padding - 1] = 0x78;
      expect(new Utf8Validator().push(bytes, 0, bytes.length)).toBe(refusedAt === -1);
    }
  });
});

const nearlyUtf8 = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }).map((s) => Buffer.from(s)),
      fc.uint8Array({ maxLength: 2 }),
    ),
  )
  .map((parts) => Buffer.concat(parts));

test("agrees with the platform, however the text is cut", () => {
  fc.assert(
    fc.property(nearlyUtf8, fc.array(fc.nat(300), { maxLength: 5 }), (bytes, cuts) => {
      const validator = new Utf8Validator();
      const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
      let valid = true;
      for (let i = 1; i < at.length && valid; i++) valid = validator.push(bytes, at[i - 1]!, at[i]!);
      expect(valid && validator.complete).toBe(isUtf8(bytes));
    }),
    { numRuns: 500 },
  );
});

test("is as quick to refuse in one piece as octet by octet", () => {
  fc.assert(
    fc.property(nearlyUtf8, (bytes) => {
      expect(new Utf8Validator().push(bytes, 0, bytes.length)).toBe(firstRefused(bytes) === -1);
    }),
    { numRuns: 500 },
  );
});
