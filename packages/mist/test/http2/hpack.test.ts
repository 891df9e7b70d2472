// HPACK: the examples of RFC 7541 Appendix C, round trips, and what never gets into a table.

import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteSink } from "../../src/http2/frames/byte-sink.ts";
import { HpackDecoder } from "../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack/encoder.ts";
import { decodeHuffman, encodeHuffman, huffmanLength } from "../../src/http2/hpack/huffman.ts";
import { BlockReader, writeInteger } from "../../src/http2/hpack/integer.ts";
import type { FieldList } from "./frames.ts";

function decode(decoder: HpackDecoder, block: Buffer): [string, string][] {
  const fields: [string, string][] = [];
  decoder.decode(block, 0, block.length, { field: ({ name, value }) => fields.push([name, value]) });
  return fields;
}

function encode(encoder: HpackEncoder, fields: FieldList): Buffer {
  const sink = new ByteSink();
  encoder.begin(sink);
  for (const [name, value] of fields) encoder.field(sink, name, value);
  return sink.take();
}

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ""), "hex");

describe("C.1 integers", () => {
  test.each([
    [10, 0x1f, "0a"],
    [1337, 0x1f, "1f9a0a"],
    [42, 0xff, "2a"],
    [0x7fff_ffff, 0x7f, "7f80ffffff07"],
  ])("%i", (value, mask, bytes) => {
    const sink = new ByteSink();
    writeInteger(sink, value, mask, 0);
    expect(sink.take().toString("hex")).toBe(bytes);
    const reader = new BlockReader();
    const block = hex(bytes);
    reader.reset(block, 1, block.length);
    expect(reader.integer(block[0] as number, mask)).toBe(value);
  });
});

describe("C.2 representations", () => {
  test.each([
    [
      "literal with indexing",
      "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
      "custom-key",
      "custom-header",
      1,
    ],
    ["literal without indexing", "040c2f73616d706c652f70617468", ":path", "/sample/path", 0],
    ["never indexed", "100870617373776f726406736563726574", "password", "secret", 0],
    ["indexed", "82", ":method", "GET", 0],
  ])("%s", (_, bytes, name, value, entries) => {
    const decoder = new HpackDecoder();
    expect(decode(decoder, hex(bytes))).toEqual([[name, value]]);
    expect(decoder.table.length).toBe(entries);
  });
});

const REQUESTS: readonly FieldList[] = [
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
  ],
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
    ["cache-control", "no-cache"],
  ],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];

const RESPONSES: readonly FieldList[] = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

describe("C.3 to C.6 blocks that share a table", () => {
  test.each([
    [
      "C.3 requests",
      REQUESTS,
      "",
      [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
      ],
      [57, 110, 164],
    ],
    [
      "C.4 requests, Huffman-coded",
      REQUESTS,
      "",
      [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
      ],
      [57, 110, 164],
    ],
    [
      "C.5 responses",
      RESPONSES,
      "3fe101",
      [
        `4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54
         6e1768747470733a2f2f7777772e6578616d706c652e636f6d`,
        "4803333037c1c0bf",
        `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d
         4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572
         73696f6e3d31`,
      ],
      [222, 222, 215],
    ],
    [
      "C.6 responses, Huffman-coded",
      RESPONSES,
      "3fe101",
      [
        `488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b
         97c8e9ae82ae43d3`,
        "4883640effc1c0bf",
        `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf
         cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007`,
      ],
      [222, 222, 215],
    ],
  ] as const)("%s", (_, lists, resize, blocks, sizes) => {
    const decoder = new HpackDecoder();
    for (let i = 0; i < blocks.length; i++) {
      const block = hex((i === 0 ? resize : "") + (blocks[i] as string));
      expect(decode(decoder, block)).toEqual(lists[i]);
      expect(decoder.table.size).toBe(sizes[i]);
    }
  });
});

describe("Huffman coding", () => {
  test("every octet, there and back", () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)).toString("latin1");
    const code = encodeHuffman(all);
    expect(code.length).toBe(huffmanLength(all));
    expect(decodeHuffman(code, 0, code.length)).toBe(all);
  });

  test("any text, there and back", () => {
    const latin1 = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
    fc.assert(
      fc.property(latin1, (text) => {
        const code = encodeHuffman(text);
        expect(decodeHuffman(code, 0, code.length)).toBe(text);
      }),
    );
  });

  test("a long string grows the scratch buffer", () => {
    const text = "0".repeat(60_000);
    const code = encodeHuffman(text);
    expect(decodeHuffman(code, 0, code.length)).toBe(text);
  });
});

describe("the encoder", () => {
  const name = fc.constantFrom("server", "x-one", "x-two", "content-type", "set-cookie", "etag", ":status");
  const value = fc.oneof(
    fc.constantFrom("", "a", "text/html", "200"),
    fc.string({ unit: "binary-ascii", maxLength: 40 }),
  );
  const fields = fc.array(fc.tuple(name, value), { maxLength: 12 });

  test("is understood, whatever the size of the table", () => {
    const step = fc.oneof(fields, fc.nat({ max: 5000 }), fc.constantFrom(0, 64, 4096));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder();
        for (const next of steps) {
          if (typeof next === "number") encoder.setMaxTableSize(next);
          else expect(decode(decoder, encode(encoder, next))).toEqual(next);
          expect(decoder.table.size).toBeLessThanOrEqual(4096);
        }
      }),
    );
  });

  test("says the smallest size and the last (RFC 7541 §4.2)", () => {
    const encoder = new HpackEncoder();
    encoder.setMaxTableSize(100);
    encoder.setMaxTableSize(0);
    encoder.setMaxTableSize(200);
    expect(encode(encoder, []).toString("hex")).toBe("203fa901");
    expect(encode(encoder, []).toString("hex")).toBe("");
  });

  test.each(["authorization", "proxy-authorization", "cookie", "set-cookie"])(
    "never indexes %s",
    (secret) => {
      const encoder = new HpackEncoder();
      for (let i = 0; i < 4; i++) {
        const block = encode(encoder, [[secret, "short"]]);
        expect((block[0] as number) & 0xf0).toBe(0x10);
      }
      expect(encoder.table.length).toBe(0);
    },
  );

  test("indexes what repeats, and only that", () => {
    const encoder = new HpackEncoder();
    const repeated = () => encode(encoder, [["x-test-repeats", "yes"]]);
    expect(repeated().length).toBeGreaterThan(10);
    repeated();
    expect(repeated().toString("hex")).toBe("be");
    for (let i = 0; i < 100; i++) encode(encoder, [["x-test-differs", `value ${i}`]]);
    expect(encoder.table.length).toBe(1);
  });
});
