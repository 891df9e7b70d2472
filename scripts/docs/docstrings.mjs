// What has no docstring and should: every export of every entry point, and every public member of a class or interface.

import ts from "typescript";
import { commentOf, isHidden } from "./surface.mjs";

/** One line for each lack, such as `@x/glisten: Server.info has no docstring`. */
export function missingDocstrings(entries, checker) {
  const seen = new Set();
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

function lacks({ name, declarations }, checker) {
  const found = isTold(declarations) ? [] : [name];
  for (const declaration of declarations) {
    if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration)) continue;
    const told = new Map();
    for (const member of declaration.members.filter(wantsDocstring)) {
      const memberName = member.name.getText();
      told.set(
        memberName,
        told.get(memberName) || isTold([member]) || isInherited(memberName, declaration, checker),
      );
    }
    for (const [memberName, yes] of told) if (!yes) found.push(`${name}.${memberName}`);
  }
  return found;
}

function isTold(declarations) {
  const comment = commentOf(declarations);
  return comment !== undefined && (comment.text !== "" || comment.tags.length > 0);
}

/** Constructors are told with their class; a `[Symbol.…]` and the literal that tells a union's members apart need no words. */
function wantsDocstring(member) {
  if (member.name === undefined || isHidden(member) || ts.isComputedPropertyName(member.name)) return false;
  return !(ts.isPropertySignature(member) || ts.isPropertyDeclaration(member)) || !isLiteral(member.type);
}

function isLiteral(type) {
  return type !== undefined && ts.isLiteralTypeNode(type);
}

/** Told where it was promised: by what the class or interface extends or implements. */
function isInherited(name, declaration, checker) {
  const bases = (declaration.heritageClauses ?? []).flatMap((clause) => clause.types);
  return bases.some((base) => checker.getPropertyOfType(checker.getTypeAtLocation(base), name) !== undefined);
}
