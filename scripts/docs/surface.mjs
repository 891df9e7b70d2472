// The public surface of the packages as the compilers of their users see it: what every entry point exports, read from the
// built declarations. It needs the compiler API of TypeScript 6; TypeScript 7, which builds the packages, has none.

import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { manifest, root } from "../workspace.mjs";

/**
 * An export of an entry point.
 *
 * @typedef {object} Export
 * @property {string} name
 * @property {ts.Symbol} symbol
 * @property {ts.Node[]} declarations
 * @property {boolean} typeOnly
 * @property {string | undefined} from the package it comes from, if that is another one
 */

/**
 * An entry point of a package.
 *
 * @typedef {object} Entry
 * @property {string} specifier
 * @property {string} packageName
 * @property {string} folder
 * @property {string} slug
 * @property {string} file
 * @property {ts.SourceFile} source
 * @property {Export[]} exports
 */

/** @typedef {{ name: string, parameter: string | undefined, text: string }} Tag */

/** @typedef {{ text: string, tags: Tag[] }} Comment */

/**
 * How users compile the packages.
 *
 * @type {ts.CompilerOptions}
 */
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

/** Every entry point of every package, in the order of the manifests, and those that the build did not produce. */
export function readSurface() {
  const named = readdirSync(join(root, "packages")).flatMap(entriesOf);
  const program = ts.createProgram(
    named.map((entry) => entry.file),
    OPTIONS,
  );
  const checker = program.getTypeChecker();
  /** @type {Entry[]} */
  const entries = [];
  const missing = [];
  for (const entry of named) {
    const source = program.getSourceFile(entry.file);
    const module = source && checker.getSymbolAtLocation(source);
    if (source === undefined || module === undefined) missing.push(entry.specifier);
    else entries.push({ ...entry, source, exports: exportsOf(entry, module, checker) });
  }
  return { entries, missing, checker };
}

/** @param {string} folder */
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

/**
 * @param {{ folder: string }} entry
 * @param {ts.Symbol} module
 * @param {ts.TypeChecker} checker
 * @returns {Export[]}
 */
function exportsOf(entry, module, checker) {
  return checker.getExportsOfModule(module).map((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declarations = (symbol.declarations ?? []).map(statementOf);
    const typeOnly = (exported.declarations ?? []).some(isTypeOnly);
    return { name: exported.name, symbol, declarations, typeOnly, from: originOf(entry, declarations) };
  });
}

/**
 * `export type { Name }`: users can name such a class but not construct it.
 *
 * @param {ts.Declaration} declaration
 */
function isTypeOnly(declaration) {
  return (
    ts.isExportSpecifier(declaration) && (declaration.isTypeOnly || declaration.parent.parent.isTypeOnly)
  );
}

/**
 * The statement around the declaration of a constant has its comment and its keyword.
 *
 * @param {ts.Declaration} declaration
 */
function statementOf(declaration) {
  return ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
}

/**
 * @param {{ folder: string }} entry
 * @param {ts.Node[]} declarations
 */
function originOf(entry, declarations) {
  const file = declarations[0]?.getSourceFile().fileName;
  if (file === undefined) return undefined;
  if (file.startsWith(join(root, "packages", entry.folder, "dist"))) return undefined;
  const [parent = "", folder = ""] = relative(root, file).split("/");
  if (parent === "packages") return manifest(join(parent, folder)).name;
  return /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(file)?.[1] ?? file;
}

/**
 * The types that the exports of an entry point mention and no entry point exports, by name.
 *
 * @param {Entry} entry
 * @param {Entry[]} entries
 * @param {ts.TypeChecker} checker
 */
export function unnamed(entry, entries, checker) {
  const known = new Set(entries.flatMap(({ exports }) => exports.map(({ symbol }) => symbol)));
  /** @type {{ name: string, symbol: ts.Symbol, declarations: ts.Node[] }[]} */
  const found = [];
  const queue = entry.exports.filter(({ from }) => from === undefined).flatMap((one) => one.declarations);
  for (const declaration of queue) {
    visit(declaration);
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));

  /** @param {ts.Node} node */
  function visit(node) {
    if (isHidden(node)) return;
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) meet(node);
    ts.forEachChild(node, visit);
  }

  /** @param {ts.TypeReferenceNode | ts.ExpressionWithTypeArguments} reference */
  function meet(reference) {
    let symbol = checker.getSymbolAtLocation(
      ts.isTypeReferenceNode(reference) ? reference.typeName : reference.expression,
    );
    if (symbol === undefined) return;
    if (symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    const declarations = (symbol.declarations ?? []).filter(isNamedType);
    const [first] = declarations;
    if (known.has(symbol) || first === undefined) return;
    if (!first.getSourceFile().fileName.startsWith(join(root, "packages", entry.folder))) return;
    known.add(symbol);
    found.push({ name: symbol.name, symbol, declarations });
    queue.push(...declarations);
  }
}

/** @param {ts.Node} node */
function isNamedType(node) {
  return ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
}

/**
 * Whether a declaration is not for users: `@internal` or private.
 *
 * @param {ts.Node & { name?: ts.Node | undefined }} node
 */
export function isHidden(node) {
  if (ts.getJSDocTags(node).some((tag) => tag.tagName.text === "internal")) return true;
  if (node.name !== undefined && ts.isPrivateIdentifier(node.name)) return true;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some(
    ({ kind }) => kind === ts.SyntaxKind.PrivateKeyword || kind === ts.SyntaxKind.ProtectedKeyword,
  );
}

const printer = ts.createPrinter({ newLine: ts.NewLineKind.LineFeed });

/**
 * The declarations of an export as text, under the name it is exported by, without what is hidden.
 *
 * @param {Export} one
 * @param {ts.TypeChecker} checker
 */
export function print({ name, symbol, declarations }, checker) {
  return declarations
    .map((declaration) => {
      // How such a type derives from a constant tells the reader nothing.
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

/**
 * The literals of a union.
 *
 * @param {ts.TypeAliasDeclaration} alias
 * @param {ts.TypeChecker} checker
 */
function membersOf(alias, checker) {
  const type = checker.getTypeAtLocation(alias);
  const members = type.isUnion() ? type.types.filter((member) => member.isLiteral()) : [];
  return members.map((member) => JSON.stringify(member.value)).join(" | ");
}

/** @param {ts.Node} node */
function withoutHidden(node) {
  if (!ts.isClassDeclaration(node)) return node;
  const { modifiers, name, typeParameters, heritageClauses, members } = node;
  const shown = members.filter((member) => !isHidden(member));
  return ts.factory.updateClassDeclaration(node, modifiers, name, typeParameters, heritageClauses, shown);
}

/**
 * The first comment of these declarations; undefined if there is none.
 *
 * @param {ts.Node[]} declarations
 * @returns {Comment | undefined}
 */
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

/** @param {string | ts.NodeArray<ts.JSDocComment> | undefined} comment */
function textOf(comment) {
  if (comment === undefined) return "";
  if (typeof comment === "string") return comment;
  return comment.map((part) => (isText(part) ? part.text : linkText(part))).join("");
}

/**
 * @param {ts.JSDocComment} part
 * @returns {part is ts.JSDocText}
 */
function isText(part) {
  return part.kind === ts.SyntaxKind.JSDocText;
}

/** @param {Exclude<ts.JSDocComment, ts.JSDocText>} link */
function linkText(link) {
  return `{@link ${link.name === undefined ? "" : link.name.getText()}${link.text}}`;
}

/**
 * The parser takes what follows `@throws` in braces for a type.
 *
 * @param {ts.JSDocTag} tag
 */
function throwsText(tag) {
  return ts.isJSDocThrowsTag(tag) && tag.typeExpression ? `${tag.typeExpression.getText()} ` : "";
}
