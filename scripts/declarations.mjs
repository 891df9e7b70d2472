// Finds what published declarations must not contain. It reads their text, because TypeScript 7 has no compiler API.

/**
 * Faults of one declaration file, one line each:
 *
 * - an optional property that does not take undefined: under `exactOptionalPropertyTypes` a caller could then not hand
 *   on an option of their own that may be missing. Optional methods and parameters are ignored.
 * - a member marked `@internal`: `stripInternal` did not work.
 *
 * @param {string} text
 */
export function declarationFaults(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, " "));
  return [
    ...optionalProperties(code)
      .filter(({ type }) => !/\b(?:undefined|unknown)$/.test(type))
      .map(({ name, line }) => `line ${line}: optional property ${name} does not take undefined`),
    ...[...text.matchAll(/@internal\b/g)].map((match) => `line ${lineOf(text, match.index)}: @internal`),
  ];
}

/**
 * Every `name?: type` that ends with a semicolon, which is a property and not a parameter.
 *
 * @param {string} code
 */
function optionalProperties(code) {
  const found = [];
  for (const match of code.matchAll(/^[ \t]*(?:readonly )?([\w$]+)\?: /gm)) {
    const end = endOfType(code, match.index + match[0].length);
    if (code[end] !== ";") continue;
    const type = code.slice(match.index + match[0].length, end).trim();
    found.push({ name: match[1], type, line: lineOf(code, match.index) });
  }
  return found;
}

/**
 * Where the type at `start` ends: at a semicolon, a comma or the bracket that closes what encloses it.
 *
 * @param {string} code
 * @param {number} start
 */
function endOfType(code, start) {
  let depth = 0;
  for (let i = start; i < code.length; i++) {
    const char = code.charAt(i);
    if ("([{<".includes(char)) depth++;
    else if (char === ">" && code[i - 1] === "=") continue;
    else if (")]}>".includes(char) && depth-- === 0) return i;
    else if (depth === 0 && (char === ";" || char === ",")) return i;
  }
  return code.length;
}

/**
 * @param {string} text
 * @param {number} index
 */
function lineOf(text, index) {
  return text.slice(0, index).split("\n").length;
}
