/** Model-based: whatever is asked for and however it fails, the bytes come once, whole and in order. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { MugError } from "../src/errors.ts";
import { anyBytes, Reader, type ReceiveRequest } from "../src/socket/reader.ts";

type Step =
  | { readonly do: "packet"; readonly bytes: Uint8Array }
  | { readonly do: "receive"; readonly request: ReceiveRequest; readonly signalled: boolean }
  | { readonly do: "abort" };

const packet = fc
  .array(fc.constantFrom(10, 13, 97, 98), { minLength: 1, maxLength: 12 })
  .map((bytes): Step => ({ do: "packet", bytes: Uint8Array.from(bytes) }));

const request: fc.Arbitrary<ReceiveRequest> = fc.oneof(
  fc.constant(anyBytes),
  fc.nat(20).map((size): ReceiveRequest => ({ kind: "exact", what: "exact", size })),
  fc
    .record({ delimiter: fc.constantFrom("\n", "\r\n").map((text) => Buffer.from(text)), max: fc.nat(30) })
    .map((asked): ReceiveRequest => ({ kind: "until", what: "until", ...asked })),
  fc.nat(60).map((max): ReceiveRequest => ({ kind: "rest", what: "rest", max })),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  packet,
  fc.record({ do: fc.constant("receive" as const), request, signalled: fc.boolean() }),
  fc.constant<Step>({ do: "abort" }),
);

/** What an answer may look like. */
function holds(asked: ReceiveRequest, answer: Buffer): boolean {
  switch (asked.kind) {
    case "any":
      return answer.length > 0;
    case "exact":
      return answer.length === asked.size;
    case "until":
      return (
        answer.length <= asked.max &&
        answer.indexOf(asked.delimiter) === answer.length - asked.delimiter.length
      );
    case "rest":
      return answer.length <= asked.max;
  }
}

test("no sequence of packets, receives, cancellations and an end loses or invents a byte", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.constantFrom("closed", "econnreset"),
      async (steps, end) => {
        const reader = new Reader(16);
        const sent: Uint8Array[] = [];
        const answers: Buffer[] = [];
        const codes: string[] = [];
        const pending: Promise<void>[] = [];
        let controller = new AbortController();
        for (const now of steps) {
          if (now.do === "packet") {
            sent.push(now.bytes);
            reader.packet(Buffer.from(now.bytes));
          } else if (now.do === "abort") {
            controller.abort();
            controller = new AbortController();
          } else {
            const options = now.signalled ? { signal: controller.signal } : {};
            const settle = reader.receive(now.request, options).then(
              (answer) => {
                expect(holds(now.request, answer)).toBe(true);
                answers.push(answer);
              },
              (error: MugError) => void codes.push(error.code),
            );
            pending.push(settle);
          }
          expect(reader.hungry).toBe(reader.waiting || reader.inbound.length < 16);
        }
        reader.end(new MugError(end as "closed"));
        await Promise.all(pending);
        expect(reader.waiting).toBe(false);
        const rest = reader.inbound.takeRest(Number.POSITIVE_INFINITY) as Buffer;
        expect(Buffer.concat([...answers, rest])).toEqual(Buffer.concat(sent));
        for (const code of codes) expect(["aborted", "ealready", "emsgsize", end]).toContain(code);
      },
    ),
    { numRuns: 400 },
  );
});
