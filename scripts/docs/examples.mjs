// The examples in docstrings, type-checked against the built declarations. They are fragments: a name they take for
// granted is allowed to be anything; what they do with the names of the package must fit.

import { join } from "node:path";
import ts from "typescript";
import { root } from "../workspace.mjs";
import { NAMESPACES } from "./snippets.mjs";
import { commentOf, OPTIONS } from "./surface.mjs";

/** What follows from a name that nobody declared. */
const UNDECLARED = new Set([2304, 2503, 2552, 7006, 7031, 18004, 18046]);

/** One line for each fault in an example; and how many examples there were. */
export function checkExamples(entries) {
  const files = new Map();
  for (const entry of entries) {
    for (const one of entry.exports.filter(({ from }) => from === undefined)) {
      for (const [index, code] of examplesOf(one).entries()) {
        const file = join(
          root,
          "packages",
          entry.folder,
          "src",
          `.example-${entry.slug}-${one.name}-${index}.ts`,
        );
        files.set(file, { text: complete(code, entry), name: `${entry.specifier}: example of ${one.name}` });
      }
    }
  }
  const program = ts.createProgram([...files.keys()], OPTIONS, hostWith(files));
  const findings = [...files].flatMap(([file, { name }]) =>
    [
      ...program.getSyntacticDiagnostics(program.getSourceFile(file)),
      ...program.getSemanticDiagnostics(program.getSourceFile(file)),
    ]
      .filter(({ code }) => !UNDECLARED.has(code))
      .map(({ messageText }) => `${name}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`),
  );
  return { count: files.size, findings };
}

/** Fenced code in the text of a comment and in its `@example`s; an example without a fence is code as it is. */
function examplesOf({ declarations }) {
  const comments = declarations.map((declaration) => commentOf([declaration])).filter(Boolean);
  return comments.flatMap(({ text, tags }) => [
    ...fenced(text),
    ...tags
      .filter(({ name }) => name === "example")
      .flatMap((tag) =>
        tag.text.includes("```") ? fenced(tag.text) : [tag.text.replace(/^`([\s\S]*)`$/, "$1")],
      ),
  ]);
}

function fenced(text) {
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
}

/** In a function, so that a fragment may `return`; imports in front of it. */
function complete(code, entry) {
  const [imports, rest] = [/^import .*$/gm, code].map((part) =>
    typeof part === "string" ? part.replaceAll(/^import .*$/gm, "") : (code.match(part) ?? []).join("\n"),
  );
  const isImported = (name) => new RegExp(`import .*\\b${name}\\b`).test(imports);
  const isDeclared = (name) => new RegExp(`(?:const|function|class) ${name}\\b`).test(rest);
  const spaces = Object.entries(NAMESPACES)
    .filter(
      ([name]) => new RegExp(`(?<![\\w.])${name}\\.`).test(rest) && !isImported(name) && !isDeclared(name),
    )
    .map(([name, specifier]) => `import * as ${name} from "${specifier}";`);
  const names = entry.exports
    .map(({ name }) => name)
    .filter((name) => name !== "new" && name !== "continue" && new RegExp(`(?<![\\w.])${name}\\b`).test(rest))
    .filter((name) => !isImported(name) && !isDeclared(name));
  return `${imports}\n${spaces.join("\n")}\nimport { ${names.join(", ")} } from "${entry.specifier}";
export async function example() {
${rest}
}
`;
}

function hostWith(files) {
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file)?.text ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const text = files.get(file)?.text;
    return text === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, text, ...rest);
  };
  return host;
}
