// Type-checks the examples in docstrings against the built declarations. They are fragments: names that they do not
// declare may be anything, but what they do with the names of the package must type-check.

/** @import { Entry, Export } from "./surface.mjs" */

import { join } from "node:path";
import ts from "typescript";
import { root } from "../workspace.mjs";
import { NAMESPACES } from "./snippets.mjs";
import { commentOf, OPTIONS } from "./surface.mjs";

/** The errors that follow from undeclared names. */
const UNDECLARED = new Set([2304, 2503, 2552, 7006, 7031, 18004, 18046]);

/**
 * One line for each error in an example, and the number of examples.
 *
 * @param {Entry[]} entries
 */
export function checkExamples(entries) {
  /** @type {Map<string, { text: string, name: string }>} */
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

/**
 * Fenced code in the text of a comment and in its `@example`s; an example without a fence is code itself.
 *
 * @param {Export} one
 */
function examplesOf({ declarations }) {
  const comments = declarations.flatMap((declaration) => commentOf([declaration]) ?? []);
  return comments.flatMap(({ text, tags }) => [
    ...fenced(text),
    ...tags
      .filter(({ name }) => name === "example")
      .flatMap((tag) =>
        tag.text.includes("```") ? fenced(tag.text) : [tag.text.replace(/^`([\s\S]*)`$/, "$1")],
      ),
  ]);
}

/** @param {string} text */
function fenced(text) {
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
}

/**
 * Wraps a fragment in a function, so that it may `return`, with its imports before it.
 *
 * @param {string} code
 * @param {Entry} entry
 */
function complete(code, entry) {
  const imports = (code.match(/^import .*$/gm) ?? []).join("\n");
  const rest = code.replaceAll(/^import .*$/gm, "");
  /** @param {string} name */
  const isImported = (name) => new RegExp(`import .*\\b${name}\\b`).test(imports);
  /** @param {string} name */
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

/** @param {Map<string, { text: string }>} files */
function hostWith(files) {
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file)?.text ?? readFile(file);
  host.getSourceFile = (file, languageVersion, ...rest) => {
    const text = files.get(file)?.text;
    return text === undefined
      ? getSourceFile(file, languageVersion, ...rest)
      : ts.createSourceFile(file, text, languageVersion);
  };
  return host;
}
