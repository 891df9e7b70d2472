// Finds missing docstrings: every export of every entry point needs one, and every public member of a class or interface.

/** @import { Entry, Export } from "./surface.mjs" */

import ts from "typescript";
import { commentOf, isHidden } from "./surface.mjs";

/**
 * One line for each, such as `@x/glisten: Server.info has no docstring`.
 *
 * @param {Entry[]} entries
 * @param {ts.TypeChecker} checker
 */
export function missingDocstrings(entries, checker) {
  const seen = new Set();
  /** @type {string[]} */
  const lines = [];
  for (const { specifier, exports } of entries) {
    for (const one of exports) {
      if (one.from !== undefined || seen.has(one.symbol)) continue;
      seen.add(one.symbol);
      lines.push(...lacks(one, checker).map((name) => `${specifier}: ${name} has no docstring`));
    }
  }
  return lines;
}

/**
 * @param {Export} one
 * @param {ts.TypeChecker} checker
 */
function lacks({ name, declarations }, checker) {
  const found = hasComment(declarations) ? [] : [name];
  for (const declaration of declarations) {
    if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration)) continue;
    /** @type {Map<string, boolean>} */
    const documented = new Map();
    for (const member of declaration.members) {
      if (!wantsDocstring(member)) continue;
      const memberName = member.name?.getText() ?? "";
      documented.set(
        memberName,
        documented.get(memberName) || hasComment([member]) || isInherited(memberName, declaration, checker),
      );
    }
    for (const [memberName, yes] of documented) if (!yes) found.push(`${name}.${memberName}`);
  }
  return found;
}

/** @param {ts.Node[]} declarations */
function hasComment(declarations) {
  const comment = commentOf(declarations);
  return comment !== undefined && (comment.text !== "" || comment.tags.length > 0);
}

/**
 * Constructors are documented with their class; a `[Symbol.…]` and the literal that discriminates a union need no words.
 *
 * @param {ts.ClassElement | ts.TypeElement} member
 */
function wantsDocstring(member) {
  if (member.name === undefined || isHidden(member) || ts.isComputedPropertyName(member.name)) return false;
  return !(ts.isPropertySignature(member) || ts.isPropertyDeclaration(member)) || !isLiteral(member.type);
}

/** @param {ts.TypeNode | undefined} type */
function isLiteral(type) {
  return type !== undefined && ts.isLiteralTypeNode(type);
}

/**
 * Documented in what the class or interface extends or implements.
 *
 * @param {string} name
 * @param {ts.ClassDeclaration | ts.InterfaceDeclaration} declaration
 * @param {ts.TypeChecker} checker
 */
function isInherited(name, declaration, checker) {
  const bases = (declaration.heritageClauses ?? []).flatMap((clause) => clause.types);
  return bases.some((base) => checker.getPropertyOfType(checker.getTypeAtLocation(base), name) !== undefined);
}
