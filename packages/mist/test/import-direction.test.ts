// The house's one-way streets (ARCHITECTURE.md, "Import direction"), checked on the source text of all three packages.

import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const packages = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

interface SourceFile {
  /** Path below the package's `src`, such as `http1/framing.ts`. */
  readonly path: string;
  /** Specifiers of every import and export, type-only ones too; relative ones as paths below `src`. */
  readonly imports: readonly string[];
  /** The code without comments and without the text of strings. */
  readonly code: string;
}

const mug = sourcesOf("mug");
const glisten = sourcesOf("glisten");
const mist = sourcesOf("mist");

describe("the parser of imports", () => {
  test.each([
    ['import { a } from "./a.ts";', ["./a.ts"]],
    ['import type { A } from "x";\nimport y, { type Z } from "y";', ["x", "y"]],
    ['import * as z\n  from "z";', ["z"]],
    ['export * from "./b.ts"; export { c } from "./c.ts";', ["./b.ts", "./c.ts"]],
    ['import "effect";', ["effect"]],
    ['const d = await import("d");', ["d"]],
    ['let e: import("e").E;', ["e"]],
    ['// import "no";\n/* export * from "no" */ const text = \'import "no"\';', []],
    ['const s = "export from"; const t = "x";', []],
  ])("%s", (text, expected) => {
    expect(importsOf(text)).toEqual(expected);
  });
});

test("there are sources to check", () => {
  for (const files of [mug, glisten, mist]) expect(files.length).toBeGreaterThan(0);
});

describe("mug", () => {
  test("imports nothing but Node", () => {
    expect(breaches(mug, (specifier) => isOwn(specifier) || isNode(specifier))).toEqual([]);
  });
});

describe("glisten", () => {
  test("imports nothing but Node", () => {
    expect(breaches(glisten, (specifier) => isOwn(specifier) || isNode(specifier))).toEqual([]);
  });

  // Leaves that the whole package shares: the time, what fails, and what an option may be called.
  const leaves = ["clock.ts", "errors.ts", "option-names.ts", "option-values.ts"];

  test("its actors know no sockets", () => {
    const allowed = (specifier: string) =>
      specifier.startsWith("actor/") ||
      leaves.includes(specifier) ||
      (isNode(specifier) && !isNetwork(specifier));
    expect(breaches(under(glisten, "actor"), allowed)).toEqual([]);
  });

  test("its transports know nothing of servers", () => {
    const allowed = (specifier: string) =>
      specifier.startsWith("transport/") || leaves.includes(specifier) || isNode(specifier);
    expect(breaches(under(glisten, "transport"), allowed)).toEqual([]);
  });
});

describe("mist", () => {
  const layers: Record<string, readonly string[]> = {
    http: ["http"],
    http1: ["http1", "http"],
    performance: ["performance"],
    websocket: ["websocket", "http", "performance"],
    http2: ["http2", "http"],
    sse: ["sse", "http"],
    client: ["client", "websocket", "http1", "http"],
    relay: ["relay"],
    server: ["server", "relay", "sse", "websocket", "http2", "http1", "http", "performance"],
  };

  test.each(Object.entries(layers))("%s imports only from %j", (folder, below) => {
    const values = ["errors.ts", ...(folder === "server" ? ["options.ts"] : [])];
    const inside = (specifier: string) =>
      values.includes(specifier) || below.some((name) => specifier.startsWith(`${name}/`));
    expect(breaches(under(mist, folder), (specifier) => !isOwn(specifier) || inside(specifier))).toEqual([]);
  });

  test("only the shell of a protocol names it: an exchange runs on any channel", () => {
    const shared = ["exchange", "body", "streams", "files", "compression"].flatMap((folder) =>
      under(mist, `server/${folder}`),
    );
    const named = (specifier: string) => /^(server\/)?http[12]\//.test(specifier);
    expect(breaches(shared, (specifier) => !named(specifier))).toEqual([]);
  });

  test("the adapters stand on top: nothing imports them, index.ts or, from below, mist.ts", () => {
    const adapters = ["fetch", "opentelemetry"];
    const isAdapter = (path: string) => adapters.some((name) => path.startsWith(`${name}/`));
    const layers = mist.filter((file) => !isAdapter(file.path) && file.path !== "index.ts");
    expect(breaches(layers, (specifier) => specifier !== "index.ts" && !isAdapter(specifier))).toEqual([]);
    const below = layers.filter((file) => dirname(file.path) !== ".");
    expect(breaches(below, (specifier) => specifier !== "mist.ts")).toEqual([]);
  });

  test("reaches glisten by its public entry points, and little else", () => {
    const libraries = [
      "@x/glisten",
      "@x/glisten/actor",
      "@x/glisten/kit",
      "@x/glisten/tcp",
      "@x/glisten/testing",
      "@x/glisten/tls",
      "content-disposition",
      "cookie",
      "mrmime",
      "negotiator",
    ];
    const allowed = (specifier: string) =>
      isOwn(specifier) || isNode(specifier) || libraries.includes(specifier);
    const hasPeer = (path: string) => Object.keys(peers).some((folder) => path.startsWith(folder));
    expect(
      breaches(
        mist.filter(({ path }) => !hasPeer(path)),
        allowed,
      ),
    ).toEqual([]);
  });

  test("what is for tests is on its own", () => {
    const others = mist.filter(({ path }) => !/^(relay\/)?testing\//.test(path));
    const isForTests = (specifier: string) => /(^|\/)testing(\/|$)/.test(specifier);
    expect(breaches(others, (specifier) => !isForTests(specifier))).toEqual([]);
  });

  /** Optional peers, and where each is known. */
  const peers = {
    "fetch/hono": "hono",
    "fetch/crossws": "crossws",
    opentelemetry: "@opentelemetry/api",
    "relay/nats": "@nats-io/transport-node",
    "relay/redis": "redis",
  };

  test.each(Object.entries(peers))("only %s knows %s, an optional peer", (folder, name) => {
    const isEntry = (path: string) => path.startsWith(folder);
    const own = mist.filter(({ path }) => isEntry(path));
    const others = mist.filter(({ path }) => !isEntry(path));
    const isPeer = (specifier: string) => specifier === name || specifier.startsWith(`${name}/`);
    const allowed = (specifier: string) =>
      isOwn(specifier) || isNode(specifier) || isPeer(specifier) || /^@x\/glisten(\/kit)?$/.test(specifier);
    expect(breaches(own, allowed)).toEqual([]);
    expect(breaches(others, (specifier) => !isEntry(specifier) && !isPeer(specifier))).toEqual([]);
  });

  const sansIo = ["http", "http1", "http2", "websocket", "sse"].flatMap((folder) => under(mist, folder));

  test("the sans-IO folders touch no input or output", () => {
    const pure = ["@x/glisten/kit", "node:buffer", "node:crypto", "cookie", "mrmime", "negotiator"];
    expect(breaches(sansIo, (specifier) => isOwn(specifier) || pure.includes(specifier))).toEqual([]);
  });

  test("the sans-IO folders take time and randomness as arguments", () => {
    const impure =
      /\b(Date\.now|new Date\(\)|performance\.|Math\.random|randomBytes|randomUUID|getRandomValues|setTimeout|setInterval|setImmediate|queueMicrotask|process\.|fetch\()/;
    const found = sansIo.flatMap((file) => {
      const match = impure.exec(file.code);
      return match === null ? [] : [`${file.path}: ${match[0]}`];
    });
    expect(found).toEqual([]);
  });
});

describe("no file imports itself by way of others, types included", () => {
  test.each(Object.entries({ mug, glisten, mist }))("%s", (_name, files) => {
    expect(circles(files)).toEqual([]);
  });

  test("a circle is found, a diamond is none", () => {
    const file = (path: string, ...imports: string[]): SourceFile => ({ path, imports, code: "" });
    const diamond = [file("a", "b", "c"), file("b", "d"), file("c", "d"), file("d")];
    expect(circles(diamond)).toEqual([]);
    expect(circles([...diamond.slice(0, 3), file("d", "b"), file("e", "e")])).toEqual([["b", "d"], ["e"]]);
  });
});

test("time is read and timers are set by the clocks alone, so that a virtual one can take their place", () => {
  const direct =
    /(\b(Date\.now|performance\.now|hrtime|setTimeout|setInterval|setImmediate|clear(Timeout|Interval|Immediate)|AbortSignal\.timeout)\b|\bnew Date\(\))/;
  const timed = (file: SourceFile) =>
    direct.test(file.code) || file.imports.some((name) => /^node:(timers|perf_hooks)/.test(name));
  const found = Object.entries({ mug, glisten, mist }).flatMap(([name, files]) =>
    files.filter(timed).map(({ path }) => `${name}/${path}`),
  );
  expect(found.sort()).toEqual([
    "glisten/clock.ts",
    // Other processes do not know of a virtual clock.
    "glisten/cluster/cluster.ts",
    "glisten/cluster/worker-process.ts",
    "glisten/cluster/worker.ts",
    "glisten/testing/virtual-clock.ts",
    // Nor do brokers.
    "mist/relay/nats/nats.ts",
    "mist/relay/redis/pub-sub.ts",
    "mist/relay/testing/recording-sink.ts",
    "mist/relay/testing/testing.ts",
    "mug/clock.ts",
  ]);
});

test("what Node does not document is used in one file alone", () => {
  const hidden =
    /\b(process\.binding|internalBinding|_(handle|readableState|writableState|writeState|processChunk|events|server|parent))\b/;
  const all = [...mug, ...glisten, ...mist];
  const found = all.filter((file) => hidden.test(file.code)).map((file) => file.path);
  expect(found).toEqual(["performance/zlib-step.ts"]);
});

function sourcesOf(name: string): SourceFile[] {
  const folder = join(packages, name, "src");
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => {
      const text = readFileSync(join(folder, path), "utf8");
      const imports = importsOf(text).map((specifier) =>
        specifier.startsWith(".") ? relative(folder, resolve(folder, dirname(path), specifier)) : specifier,
      );
      return { path, imports, code: strip(text).replace(/"[^"\n]*"/g, '""') };
    });
}

function under(files: readonly SourceFile[], folder: string): SourceFile[] {
  return files.filter((file) => file.path.startsWith(`${folder}/`));
}

/** `file → specifier` for every import that is not allowed. */
function breaches(files: readonly SourceFile[], allowed: (specifier: string) => boolean): string[] {
  return files.flatMap((file) =>
    file.imports.filter((specifier) => !allowed(specifier)).map((specifier) => `${file.path} → ${specifier}`),
  );
}

/** The groups of files that reach each other by imports, each sorted. */
function circles(files: readonly SourceFile[]): string[][] {
  const imports = new Map(files.map((file) => [file.path, file.imports]));
  const reached = new Map(files.map(({ path }) => [path, reachableFrom(path, imports)]));
  const found = new Map<string, string[]>();
  for (const [path, ahead] of reached) {
    if (!ahead.has(path)) continue;
    const circle = [...ahead].filter((other) => reached.get(other)?.has(path)).sort();
    found.set(circle.join(), circle);
  }
  return [...found.values()];
}

function reachableFrom(start: string, imports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set<string>();
  const next = [...(imports.get(start) ?? [])];
  for (let path = next.pop(); path !== undefined; path = next.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    next.push(...(imports.get(path) ?? []));
  }
  return reached;
}

/** A path below the same `src`; a path that leaves it starts with `..` and belongs to no one. */
function isOwn(specifier: string): boolean {
  return specifier.endsWith(".ts") && !specifier.startsWith("..");
}

function isNode(specifier: string): boolean {
  return specifier.startsWith("node:") && builtinModules.includes(specifier.slice(5));
}

function isNetwork(specifier: string): boolean {
  return /^node:(net|tls|http|https|http2|dgram|dns|fs|cluster|child_process)(\/|$)/.test(specifier);
}

function importsOf(text: string): string[] {
  const code = strip(text);
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s(?:[^"';()]*?\sfrom\s*)?"([^"\n]+)"|\bimport\s*\(\s*"([^"\n]+)"\s*\)/g;
  return [...code.matchAll(pattern)].map((match) => (match[1] ?? match[2])!);
}

/** Without comments, and with 'single-quoted' and `template` texts emptied: Biome writes specifiers in double quotes. */
function strip(text: string): string {
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/g,
    (match) => (match.startsWith('"') ? match : match.startsWith("/") ? " " : '""'),
  );
}
