import { expect, test } from "vitest";
import { runProgram } from "../../program.ts";

test("Node's own server passes", async () => {
  const { output, code } = await runProgram("mug-harness");
  expect(output).not.toMatch(/FAIL/);
  expect(output.match(/^ok/gm)).toHaveLength(5);
  expect(code).toBe(0);
});
