import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentRange, multipartByteranges, parseRange, unsatisfiedRange } from "../../src/http/range.ts";

describe("RFC 9110 §14.1.2 byte ranges", () => {
  it.each([
    ["bytes=0-499", 10_000, [[0, 500]]],
    ["bytes=500-999", 10_000, [[500, 500]]],
    ["bytes=9500-", 10_000, [[9500, 500]]],
    ["bytes=-500", 10_000, [[9500, 500]]],
    ["bytes=0-0", 10_000, [[0, 1]]],
    ["BYTES=0-0", 10_000, [[0, 1]]],
    ["bytes=0-99999", 10_000, [[0, 10_000]]],
    ["bytes=-99999", 10_000, [[0, 10_000]]],
    [
      "bytes=0-0,-1",
      10_000,
      [
        [0, 1],
        [9999, 1],
      ],
    ],
    [
      "bytes= 0-0 ,\t-1,",
      10_000,
      [
        [0, 1],
        [9999, 1],
      ],
    ],
    [
      "bytes=5000-5999, 0-999",
      10_000,
      [
        [5000, 1000],
        [0, 1000],
      ],
    ],
    ["bytes=0-99999999999999999999999999", 10, [[0, 10]]],
    ["bytes=0-0,20000-", 10_000, [[0, 1]]],
  ])("%s of %d", (field, size, expected) => {
    const selection = parseRange(field, size);
    expect(selection).toEqual(expected.map(([offset, length]) => ({ offset, length })));
  });

  it.each([
    ["bytes=500-600,601-999", [[500, 500]]],
    ["bytes=500-700,601-999", [[500, 500]]],
    ["bytes=0-99,150-199", [[0, 200]]],
    ["bytes=0-,0-,0-,0-", [[0, 10_000]]],
    [
      "bytes=9000-9099,5000-5099,0-99,5050-5149",
      [
        [9000, 100],
        [5000, 150],
        [0, 100],
      ],
    ],
  ])("merges %s", (field, expected) => {
    expect(parseRange(field, 10_000)).toEqual(expected.map(([offset, length]) => ({ offset, length })));
  });

  it.each(["bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=99999999999999999999-"])(
    "cannot satisfy %s",
    (field) => {
      expect(parseRange(field, 10_000)).toBe("unsatisfiable");
    },
  );

  it("cannot satisfy any range of nothing", () => {
    expect(parseRange("bytes=0-", 0)).toBe("unsatisfiable");
    expect(parseRange("bytes=-5", 0)).toBe("unsatisfiable");
  });

  it.each([
    "",
    "bytes",
    "bytes=",
    "bytes=,",
    "bytes=-",
    "bytes=a-b",
    "bytes=5-3",
    "bytes=0-1,5-3",
    "bytes=1",
    "bytes=1-2-3",
    "bytes=+1-2",
    "bytes=0x1-2",
    "bytes=1 -2",
    "lines=0-1",
    "items=0-1",
  ])("ignores %j", (field) => {
    expect(parseRange(field, 10_000)).toBe("whole");
  });

  it("ignores a field with too many ranges, however it is dressed", () => {
    const many = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, i) => `${i * 200}-${i * 200}`)}`;
    expect(parseRange(many(4), 100_000, 4)).toHaveLength(4);
    expect(parseRange(many(5), 100_000, 4)).toBe("whole");
    expect(parseRange(`bytes=${",".repeat(1000)}0-0`, 100_000, 4)).toBe("whole");
  });

  it("never answers more bytes than there are, from any field", () => {
    const position = fc.oneof(fc.constant(""), fc.nat(3000).map(String));
    const spec = fc.tuple(position, position).map(([first, last]) => `${first}-${last}`);
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 40 }), fc.nat(2000), (specs, size) => {
        const selection = parseRange(`bytes=${specs.join(",")}`, size);
        if (typeof selection === "string") return true;
        let total = 0;
        for (const { offset, length } of selection) {
          if (length < 1 || offset < 0 || offset + length > size) return false;
          total += length;
        }
        return total <= size;
      }),
    );
  });
});

describe("RFC 9110 §14.4 content-range", () => {
  it("names inclusive positions and the size", () => {
    expect(contentRange({ offset: 42, length: 1191 }, 1234)).toBe("bytes 42-1232/1234");
    expect(unsatisfiedRange(47_022)).toBe("bytes */47022");
  });
});

describe("RFC 9110 §14.6 multipart/byteranges", () => {
  it("states the exact length of the body", () => {
    const content = "abcdefghij".repeat(50);
    const ranges = [
      { offset: 0, length: 3 },
      { offset: 498, length: 2 },
    ];
    const frame = multipartByteranges(ranges, 500, "text/plain", "THIS_STRING");
    const parts = ranges.map(
      ({ offset, length }, i) => frame.heads[i] + content.slice(offset, offset + length),
    );
    const body = parts.join("") + frame.tail;
    expect(body).toBe(
      "--THIS_STRING\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-2/500\r\n\r\nabc" +
        "\r\n--THIS_STRING\r\ncontent-type: text/plain\r\ncontent-range: bytes 498-499/500\r\n\r\nij" +
        "\r\n--THIS_STRING--\r\n",
    );
    expect(frame.length).toBe(body.length);
    expect(frame.contentType).toBe("multipart/byteranges; boundary=THIS_STRING");
  });
});
