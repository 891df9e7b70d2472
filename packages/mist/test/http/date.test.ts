import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDate, serializeDate } from "../../src/http/date.ts";

const now = Date.UTC(2026, 5, 1);
const example = Date.UTC(1994, 10, 6, 8, 49, 37);

describe("RFC 9110 §5.6.7 dates", () => {
  it.each([
    ["IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", example],
    ["RFC 850", "Sunday, 06-Nov-94 08:49:37 GMT", example],
    ["asctime", "Sun Nov  6 08:49:37 1994", example],
    ["asctime, two digits", "Wed Nov 16 08:49:37 1994", Date.UTC(1994, 10, 16, 8, 49, 37)],
    ["RFC 850, 50 years ahead", "Sunday, 06-Nov-75 08:49:37 GMT", Date.UTC(2075, 10, 6, 8, 49, 37)],
    ["RFC 850, more than 50 years ahead", "Sunday, 06-Nov-77 08:49:37 GMT", Date.UTC(1977, 10, 6, 8, 49, 37)],
    ["leap second", "Sat, 31 Dec 2016 23:59:60 GMT", Date.UTC(2017, 0, 1)],
    ["leap day", "Thu, 29 Feb 2024 00:00:00 GMT", Date.UTC(2024, 1, 29)],
    ["year 50", "Sun, 06 Nov 0050 08:49:37 GMT", new Date("0050-11-06T08:49:37Z").getTime()],
  ])("parses %s", (_name, text, instant) => {
    expect(parseDate(text, now)).toBe(instant);
  });

  it.each([
    "",
    "0",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "sun, 06 nov 1994 08:49:37 gmt",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 29 Feb 2023 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Anb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "1994-11-06T08:49:37Z",
    " Sun, 06 Nov 1994 08:49:37 GMT",
  ])("refuses %j", (text) => {
    expect(parseDate(text, now)).toBeUndefined();
  });

  it("serializes IMF-fixdate", () => {
    expect(serializeDate(example + 999)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
  });

  it("parses what it serializes", () => {
    const seconds = fc.integer({ min: 0, max: Date.UTC(9999, 0, 1) / 1000 });
    fc.assert(
      fc.property(seconds, (second) => parseDate(serializeDate(second * 1000), now) === second * 1000),
    );
  });
});
