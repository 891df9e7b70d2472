// What the published declarations must not contain, found in their text: TypeScript 7 has no interface for programs.

/**
 * Faults of one declaration file, one line each:
 *
 * - an optional property that does not take undefined: under `exactOptionalPropertyTypes` a caller could then not hand
 *   on an option of their own that may be missing. Optional methods and parameters are not looked at.
 * - a member marked `@internal`: `stripInternal` has not been at work.
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

/** Every `name?: type` that ends with a semicolon: a property, and no parameter. */
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

/** Where the type that starts here ends: at a semicolon, a comma or a bracket that closes what is around it. */
function endOfType(code, start) {
  let depth = 0;
  for (let i = start; i < code.length; i++) {
    const char = code[i];
    if ("([{<".includes(char)) depth++;
    else if (char === ">" && code[i - 1] === "=") continue;
    else if (")]}>".includes(char) && depth-- === 0) return i;
    else if (depth === 0 && (char === ";" || char === ",")) return i;
  }
  return code.length;
}

function lineOf(text, index) {
  return text.slice(0, index).split("\n").length;
}
