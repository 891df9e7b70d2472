import { expect, test } from "vitest";
import { declarationFaults } from "../declarations.mjs";

test.each([
  ["a tolerant property", "interface A {\n    readonly a?: number | undefined;\n    b?: unknown;\n}", []],
  [
    "an intolerant one",
    "interface A {\n    readonly a?: number;\n}",
    ["line 2: optional property a does not take undefined"],
  ],
  [
    "a function over several lines",
    "interface A {\n    a?: (b: Map<string, number>, c?: string) => void | Promise<\n        void\n    >;\n}",
    ["line 2: optional property a does not take undefined"],
  ],
  ["a tolerant function", "interface A {\n    a?: ((b: Map<string, number>) => void) | undefined;\n}", []],
  [
    "parameters and methods",
    "declare function f(\n    a?: number,\n    b?: string\n): void;\ninterface A {\n    c?(): void;\n}",
    [],
  ],
  ["comments", "/**\n  a?: number;\n */\nexport {};", []],
  ["internals", "export declare class A {\n    /** @internal */\n    b(): void;\n}", ["line 2: @internal"]],
])("%s", (_, text, faults) => {
  expect(declarationFaults(text)).toEqual(faults);
});
