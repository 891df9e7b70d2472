import { describe, expect, test } from "vitest";
import {
  type DeflateParameters,
  negotiateDeflate,
  parseExtensionOffers,
} from "../../src/websocket/extension.ts";

const neutral: DeflateParameters = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

const respond = (value: string, wanted: Partial<DeflateParameters> = {}) =>
  negotiateDeflate(parseExtensionOffers(value)!, { ...neutral, ...wanted })?.response;

describe("the grammar of RFC 6455 §9.1", () => {
  test.each([
    ["foo", [{ name: "foo", parameters: [] }]],
    [
      "foo, bar",
      [
        { name: "foo", parameters: [] },
        { name: "bar", parameters: [] },
      ],
    ],
    [
      "foo;a;b=1",
      [
        {
          name: "foo",
          parameters: [
            ["a", true],
            ["b", "1"],
          ],
        },
      ],
    ],
    [
      " foo ; a = 1 ,bar ; C ",
      [
        { name: "foo", parameters: [["a", "1"]] },
        { name: "bar", parameters: [["c", true]] },
      ],
    ],
    ['foo; a="1"', [{ name: "foo", parameters: [["a", "1"]] }]],
    ['foo; a="\\1\\2"', [{ name: "foo", parameters: [["a", "12"]] }]],
    [
      ",, foo ,, bar ,",
      [
        { name: "foo", parameters: [] },
        { name: "bar", parameters: [] },
      ],
    ],
    ["Permessage-Deflate", [{ name: "permessage-deflate", parameters: [] }]],
  ])("%s", (value, offers) => {
    expect(parseExtensionOffers(value)).toEqual(offers);
  });

  test.each([
    "",
    ",",
    ";",
    "foo;",
    "foo;;a",
    "foo;=1",
    "foo;a=",
    'foo;a="1',
    'foo;a=""',
    'foo;a="1 2"',
    "foo bar",
    "foo/1",
    "foo;a=1 b",
    "föo",
  ])("%j is malformed", (value) => {
    expect(parseExtensionOffers(value)).toBeUndefined();
  });
});

describe("permessage-deflate (RFC 7692 §7.1)", () => {
  const d = "permessage-deflate";
  const rows: readonly [offer: string, response: string | undefined, wanted?: Partial<DeflateParameters>][] =
    [
      [d, d],
      ["x-webkit-deflate-frame", undefined],
      [`x-other, ${d}`, d],
      [`${d}; server_no_context_takeover`, `${d}; server_no_context_takeover`],
      [`${d}; client_no_context_takeover`, `${d}; client_no_context_takeover`],
      [d, `${d}; server_no_context_takeover`, { serverNoContextTakeover: true }],
      [d, `${d}; client_no_context_takeover`, { clientNoContextTakeover: true }],
      [`${d}; client_max_window_bits`, d],
      [`${d}; client_max_window_bits`, `${d}; client_max_window_bits=10`, { clientMaxWindowBits: 10 }],
      [`${d}; client_max_window_bits=12`, `${d}; client_max_window_bits=10`, { clientMaxWindowBits: 10 }],
      [`${d}; client_max_window_bits=9`, `${d}; client_max_window_bits=9`, { clientMaxWindowBits: 10 }],
      [`${d}; client_max_window_bits=8`, `${d}; client_max_window_bits=8`],
      [d, undefined, { clientMaxWindowBits: 10 }],
      [`${d}; server_max_window_bits=8`, `${d}; server_max_window_bits=8`],
      [`${d}; server_max_window_bits=9`, `${d}; server_max_window_bits=9`],
      [`${d}; server_max_window_bits=15`, `${d}; server_max_window_bits=15`],
      [`${d}; server_max_window_bits=12`, `${d}; server_max_window_bits=11`, { serverMaxWindowBits: 11 }],
      [d, `${d}; server_max_window_bits=11`, { serverMaxWindowBits: 11 }],
      [`${d}; server_max_window_bits="10"`, `${d}; server_max_window_bits=10`],
      // Declined, and the next offer taken.
      [`${d}; unknown`, undefined],
      [`${d}; unknown, ${d}`, d],
      [`${d}; server_max_window_bits`, undefined],
      [`${d}; server_max_window_bits=7`, undefined],
      [`${d}; server_max_window_bits=16`, undefined],
      [`${d}; server_max_window_bits=010`, undefined],
      [`${d}; server_max_window_bits=+9`, undefined],
      [`${d}; server_max_window_bits=9.0`, undefined],
      [`${d}; client_max_window_bits=7`, undefined],
      [`${d}; client_max_window_bits=x`, undefined],
      [`${d}; server_no_context_takeover=1`, undefined],
      [`${d}; client_no_context_takeover=true`, undefined],
      [`${d}; client_max_window_bits; client_max_window_bits`, undefined],
      [`${d}; server_max_window_bits=10; server_max_window_bits=10`, undefined],
      [`${d}; server_max_window_bits=99, ${d}; client_max_window_bits, ${d}`, d],
      [
        `${d}; client_max_window_bits; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover`,
        `${d}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10`,
      ],
    ];
  test.each(rows)("%s → %s", (offer, response, wanted) => {
    expect(respond(offer, wanted)).toBe(response);
  });

  test("the parameters agreed on are those of the response", () => {
    const offers = parseExtensionOffers(`${d}; server_max_window_bits=10; client_max_window_bits=12`)!;
    expect(negotiateDeflate(offers, neutral)?.parameters).toEqual({
      serverNoContextTakeover: false,
      clientNoContextTakeover: false,
      serverMaxWindowBits: 10,
      clientMaxWindowBits: 12,
    });
  });
});
