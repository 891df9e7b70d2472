import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Inbound, tooLong } from "../src/socket/inbound.ts";

/** A queue filled with the bytes, cut at the offsets. */
function filled(bytes: Uint8Array, cuts: readonly number[]): Inbound {
  const inbound = new Inbound();
  for (const piece of cut(bytes, cuts)) inbound.push(piece);
  return inbound;
}

function cut(bytes: Uint8Array, cuts: readonly number[]): Buffer[] {
  const offsets = [...new Set(cuts.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const to of [...offsets, bytes.length]) {
    pieces.push(Buffer.from(bytes.subarray(from, to)));
    from = to;
  }
  return pieces;
}

const bytes = fc.uint8Array({ maxLength: 60 });
/** Few different bytes, so that delimiters occur, overlap and almost occur. */
const lumpy = fc
  .array(fc.constantFrom(13, 10, 97), { maxLength: 60 })
  .map((values) => Uint8Array.from(values));
const cuts = fc.array(fc.nat(60), { maxLength: 12 });

describe("takes", () => {
  test("any: all there is, once", () => {
    const inbound = filled(Buffer.from("hello"), [2]);
    expect(inbound.takeAny()?.toString()).toBe("hello");
    expect(inbound.takeAny()).toBeUndefined();
  });

  test("exact: nothing is taken until all is there", () => {
    const inbound = new Inbound();
    inbound.push(Buffer.from("ab"));
    expect(inbound.takeExact(3)).toBeUndefined();
    expect(inbound.length).toBe(2);
    inbound.push(Buffer.from("cd"));
    expect(inbound.takeExact(3)?.toString()).toBe("abc");
    expect(inbound.takeExact(0)?.length).toBe(0);
    expect(inbound.takeAny()?.toString()).toBe("d");
  });

  test("a packet asked for whole is handed over as it came, not copied", () => {
    const inbound = new Inbound();
    const packet = Buffer.from("packet");
    inbound.push(packet);
    expect(inbound.takeExact(6)).toBe(packet);
  });

  test.each([
    ["a\r\nb", "\r\n", 10, "a\r\n"],
    ["a\r\nb", "\r\n", 3, "a\r\n"],
    ["a\r\nb", "\r\n", 2, tooLong],
    ["abc", "\r\n", 3, tooLong],
    ["abc", "\r\n", 4, undefined],
    ["abc\r", "\r\n", 9, undefined],
    ["", "\n", 1, undefined],
    ["\n", "\n", 1, "\n"],
  ])("until: %j by %j within %i", (text, delimiter, max, expected) => {
    const taken = filled(Buffer.from(text), []).takeUntil(Buffer.from(delimiter), max);
    expect(taken instanceof Buffer ? taken.toString() : taken).toBe(expected);
  });

  test("rest: all, or too long", () => {
    expect(filled(Buffer.from("abc"), [1]).takeRest(3).toString()).toBe("abc");
    expect(filled(Buffer.from("abc"), [1]).takeRest(2)).toBe(tooLong);
    expect(new Inbound().takeRest(0)).toHaveLength(0);
  });
});

describe("properties", () => {
  test("any cutting into packets, any sequence of sizes: the same bytes in the same order", () => {
    fc.assert(
      fc.property(bytes, cuts, fc.array(fc.nat(20)), (whole, where, sizes) => {
        const inbound = filled(whole, where);
        const taken: Buffer[] = [];
        for (const size of sizes) {
          const before = inbound.length;
          const piece = inbound.takeExact(size);
          expect(piece?.length ?? size).toBe(size);
          expect(inbound.length).toBe(before - (piece?.length ?? 0));
          if (piece !== undefined) taken.push(piece);
        }
        taken.push(inbound.takeRest(whole.length) as Buffer);
        expect(Buffer.concat(taken)).toEqual(Buffer.from(whole));
        expect(inbound.length).toBe(0);
      }),
    );
  });

  test("until finds what indexOf finds, however the bytes come and however often it is asked meanwhile", () => {
    fc.assert(
      fc.property(lumpy, cuts, fc.constantFrom("\n", "\r\n", "\r\n\r\n", "a\na"), (whole, where, text) => {
        const delimiter = Buffer.from(text);
        const inbound = new Inbound();
        const found: string[] = [];
        for (const piece of cut(whole, where)) {
          inbound.push(piece);
          for (let taken = inbound.takeUntil(delimiter, 1000); taken !== undefined; ) {
            found.push((taken as Buffer).toString());
            taken = inbound.takeUntil(delimiter, 1000);
          }
        }
        expect(found).toEqual(splitBehind(Buffer.from(whole), delimiter));
      }),
      { numRuns: 500 },
    );
  });

  test("changing the delimiter between two asks changes nothing but the answer", () => {
    fc.assert(
      fc.property(lumpy, cuts, (whole, where) => {
        const inbound = filled(whole, where);
        inbound.takeUntil(Buffer.from("\r\n\r\nz"), 1000);
        inbound.takeUntil(Buffer.from("zz"), 1000);
        const taken = inbound.takeUntil(Buffer.from("\n"), 1000);
        expect(taken?.toString()).toBe(splitBehind(Buffer.from(whole), Buffer.from("\n"))[0]);
      }),
    );
  });

  test("unshift is the inverse of take", () => {
    fc.assert(
      fc.property(bytes, cuts, fc.nat(60), (whole, where, size) => {
        const inbound = filled(whole, where);
        const piece = inbound.takeExact(size);
        if (piece !== undefined) inbound.unshift(piece);
        expect(inbound.takeRest(whole.length)).toEqual(Buffer.from(whole));
      }),
    );
  });
});

test("a long line that dribbles in costs its length, not its square", () => {
  const inbound = new Inbound();
  const delimiter = Buffer.from("\r\n");
  const byte = Buffer.from("a");
  for (let count = 0; count < 200_000; count++) {
    inbound.push(byte);
    if (inbound.takeUntil(delimiter, 1 << 20) !== undefined) throw new Error("found what is not there");
  }
  inbound.push(Buffer.from("\r"));
  inbound.push(Buffer.from("\n"));
  expect(inbound.takeUntil(delimiter, 1 << 20)).toHaveLength(200_002);
});

function splitBehind(whole: Buffer, delimiter: Buffer): string[] {
  const lines: string[] = [];
  let from = 0;
  for (;;) {
    const at = whole.indexOf(delimiter, from);
    if (at === -1) return lines;
    lines.push(whole.toString("utf8", from, at + delimiter.length));
    from = at + delimiter.length;
  }
}
