// The public surface of the packages as their users' compilers see it: what every entry point exports, read from the
// built declarations. Uses the compiler interface of TypeScript 6; TypeScript 7, which builds the packages, has none.

import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { manifest, root } from "../workspace.mjs";

/** As the packages are meant to be used. */
export const OPTIONS = {
  target: ts.ScriptTarget.ES2023,
  lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
  types: ["node"],
  typeRoots: [join(root, "node_modules/@types")],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  allowImportingTsExtensions: true,
  noEmit: true,
  strict: true,
  skipLibCheck: true,
};

/**
 * Every entry point of every package, in the order of the manifests: `{ specifier, packageName, slug, file, exports }`;
 * and, under `missing`, those a manifest names and the build has not made.
 *
 * An export is `{ name, symbol, declarations, typeOnly, from }`; `from` names the package it really comes from, where
 * that is another one.
 */
export function readSurface() {
  const entries = readdirSync(join(root, "packages")).flatMap(entriesOf);
  const program = ts.createProgram(
    entries.map((entry) => entry.file),
    OPTIONS,
  );
  const checker = program.getTypeChecker();
  const missing = [];
  for (const entry of entries) {
    entry.source = program.getSourceFile(entry.file);
    if (entry.source === undefined) missing.push(entry.specifier);
    else entry.exports = exportsOf(entry, checker.getSymbolAtLocation(entry.source), checker);
  }
  return { entries: entries.filter(({ source }) => source !== undefined), missing, checker };
}

function entriesOf(folder) {
  const { name, exports } = manifest(join("packages", folder));
  return Object.entries(exports).flatMap(([path, target]) => {
    if (typeof target === "string") return [];
    const specifier = name + path.slice(1);
    return [
      {
        specifier,
        packageName: name,
        folder,
        slug: specifier.replace("@x/", "").replaceAll("/", "-"),
        file: join(root, "packages", folder, target.types),
      },
    ];
  });
}

function exportsOf(entry, module, checker) {
  return checker.getExportsOfModule(module).map((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declarations = (symbol.declarations ?? []).map(statementOf);
    const typeOnly = (exported.declarations ?? []).some(isTypeOnly);
    return { name: exported.name, symbol, declarations, typeOnly, from: originOf(entry, declarations) };
  });
}

/** `export type { Name }`: a class that is exported like this can be named and not constructed. */
function isTypeOnly(declaration) {
  return (
    ts.isExportSpecifier(declaration) && (declaration.isTypeOnly || declaration.parent.parent.isTypeOnly)
  );
}

/** A constant's declaration is the statement around it: there its comment and its keyword are. */
function statementOf(declaration) {
  return ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
}

function originOf(entry, declarations) {
  const file = declarations[0]?.getSourceFile().fileName;
  if (file === undefined) return undefined;
  if (file.startsWith(join(root, "packages", entry.folder, "dist"))) return undefined;
  const [parent, folder] = relative(root, file).split("/");
  if (parent === "packages") return manifest(join(parent, folder)).name;
  return /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(file)?.[1] ?? file;
}

/**
 * What the exports of an entry point speak of and no entry point exports: `{ name, symbol, declarations }`, by name.
 * Types of other packages count there.
 */
export function unnamed(entry, entries, checker) {
  const known = new Set(entries.flatMap(({ exports }) => exports.map(({ symbol }) => symbol)));
  const found = [];
  const queue = entry.exports.filter(({ from }) => from === undefined).flatMap((one) => one.declarations);
  for (const declaration of queue) {
    visit(declaration);
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));

  function visit(node) {
    if (isHidden(node)) return;
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) meet(node);
    ts.forEachChild(node, visit);
  }

  function meet(reference) {
    let symbol = checker.getSymbolAtLocation(reference.typeName ?? reference.expression);
    if (symbol === undefined) return;
    if (symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    const declarations = (symbol.declarations ?? []).filter(isNamedType);
    if (known.has(symbol) || declarations.length === 0) return;
    if (!declarations[0].getSourceFile().fileName.startsWith(join(root, "packages", entry.folder))) return;
    known.add(symbol);
    found.push({ name: symbol.name, symbol, declarations });
    queue.push(...declarations);
  }
}

function isNamedType(node) {
  return ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
}

/** Not for users: said so in the comment, or hidden by the language. */
export function isHidden(node) {
  if (ts.getJSDocTags(node).some((tag) => tag.tagName.text === "internal")) return true;
  if (node.name !== undefined && ts.isPrivateIdentifier(node.name)) return true;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some(
    ({ kind }) => kind === ts.SyntaxKind.PrivateKeyword || kind === ts.SyntaxKind.ProtectedKeyword,
  );
}

const printer = ts.createPrinter({ newLine: ts.NewLineKind.LineFeed });

/** The declarations of an export as text, under the name it is exported by, without what is hidden. */
export function print({ name, symbol, declarations }, checker) {
  return declarations
    .map((declaration) => {
      // What is derived from a constant of ours says nothing by its derivation.
      if (ts.isTypeAliasDeclaration(declaration) && /^keyof typeof/.test(declaration.type.getText()))
        return `type ${name} = ${membersOf(declaration, checker)};`;
      const node = withoutHidden(declaration);
      const text = printer.printNode(ts.EmitHint.Unspecified, node, declaration.getSourceFile());
      return text
        .replace(/^(?:\s*\/\*\*[\s\S]*?\*\/\s*)+/, "")
        .replace(/^export (?:declare )?|^declare /, "")
        .replace(new RegExp(`^(\\w+(?: class)?) ${symbol.name.replaceAll("$", "\\$")}\\b`), `$1 ${name}`)
        .replaceAll(/\{@link\s+([^}|\s]+)[^}]*\}/g, "$1")
        .replaceAll(/^(?: {4})+/gm, (spaces) => " ".repeat(spaces.length / 2));
    })
    .join("\n");
}

function membersOf(alias, checker) {
  const members = checker.getTypeAtLocation(alias).types ?? [];
  return members.map((member) => JSON.stringify(member.value)).join(" | ");
}

function withoutHidden(node) {
  if (!ts.isClassDeclaration(node)) return node;
  const { modifiers, name, typeParameters, heritageClauses, members } = node;
  const shown = members.filter((member) => !isHidden(member));
  return ts.factory.updateClassDeclaration(node, modifiers, name, typeParameters, heritageClauses, shown);
}

/** The text of a comment and its tags, `{ text, tags: [{ name, parameter, text }] }`; undefined where there is none. */
export function commentOf(declarations) {
  for (const declaration of declarations) {
    const comments = ts.getJSDocCommentsAndTags(declaration).filter(ts.isJSDoc);
    const comment = comments.at(-1);
    if (comment === undefined) continue;
    return {
      text: textOf(comment.comment),
      tags: (comment.tags ?? []).map((tag) => ({
        name: tag.tagName.text,
        parameter: ts.isJSDocParameterTag(tag) ? tag.name.getText() : undefined,
        text: throwsText(tag) + textOf(tag.comment),
      })),
    };
  }
  return undefined;
}

function textOf(comment) {
  if (comment === undefined) return "";
  if (typeof comment === "string") return comment;
  return comment.map((part) => (part.kind === ts.SyntaxKind.JSDocText ? part.text : linkText(part))).join("");
}

function linkText(link) {
  return `{@link ${link.name === undefined ? "" : link.name.getText()}${link.text}}`;
}

/** The parser may take what follows `@throws` in braces for a type. */
function throwsText(tag) {
  return ts.isJSDocThrowsTag(tag) && tag.typeExpression ? `${tag.typeExpression.getText()} ` : "";
}
