// From a scenario that fails to a smaller one that fails in the same way: parts, clients, steps and messages are taken
// away, and numbers made smaller, as long as the finding stays.

import type { Scenario } from "./scenario.ts";

type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };
type Path = readonly (string | number)[];

/** Numbers that name something, and are no size. */
const names = new Set(["id", "seed", "restarts", "code", "status"]);
/** What a scenario may go without. */
const optional = new Set([
  "http",
  "tcp",
  "actors",
  "fault",
  "again",
  "body",
  "pause",
  "chunks",
  "cutAt",
  "headBytes",
  "targetBytes",
  "fieldLines",
  "waitUntilMs",
  "connection",
]);

/**
 * A smaller scenario for which `fails` is still true.
 *
 * @param most how many scenarios to try
 */
export async function shrink(
  scenario: Scenario,
  fails: (smaller: Scenario) => Promise<boolean>,
  most = 1500,
): Promise<Scenario> {
  let best = scenario as unknown as Json;
  let tries = 0;
  const attempt = async (smaller: Json): Promise<boolean> => {
    if (tries++ >= most || !(await fails(smaller as unknown as Scenario))) return false;
    best = smaller;
    return true;
  };
  for (let before = ""; before !== JSON.stringify(best) && tries < most; ) {
    before = JSON.stringify(best);
    for (const path of paths(best)) await smallerAt(best, path, attempt, () => best);
  }
  return best as unknown as Scenario;
}

async function smallerAt(
  json: Json,
  path: Path,
  attempt: (smaller: Json) => Promise<boolean>,
  best: () => Json,
): Promise<void> {
  const value = at(json, path);
  const name = path.at(-1);
  if (value === undefined) return;
  if (typeof name === "string" && optional.has(name) && (await attempt(replaced(best(), path, undefined))))
    return;
  if (Array.isArray(value)) {
    for (let size = value.length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < lengthAt(best(), path); ) {
        const list = at(best(), path) as readonly Json[];
        const without = [...list.slice(0, from), ...list.slice(from + size)];
        if (!(await attempt(replaced(best(), path, without)))) from += size;
      }
    }
  } else if (typeof value === "number" && value > 0 && typeof name === "string" && !names.has(name)) {
    for (const smaller of [0, 1, Math.floor(value / 10), Math.floor(value / 2)]) {
      if (smaller < value && (await attempt(replaced(best(), path, smaller)))) return;
    }
  } else if (value === true) await attempt(replaced(best(), path, false));
}

function lengthAt(json: Json, path: Path): number {
  const value = at(json, path);
  return Array.isArray(value) ? value.length : 0;
}

/** Every place in it, the outer ones first. */
function paths(json: Json): Path[] {
  const found: Path[] = [];
  let level: Path[] = [[]];
  while (level.length > 0) {
    found.push(...level);
    level = level.flatMap((path) => {
      const value = at(json, path);
      if (typeof value !== "object" || value === null) return [];
      return Array.isArray(value)
        ? value.map((_, index) => [...path, index])
        : Object.keys(value).map((name) => [...path, name]);
    });
  }
  return found;
}

function at(json: Json | undefined, path: Path): Json | undefined {
  let value: Json | undefined = json;
  for (const name of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as { readonly [name: string]: Json | undefined })[name];
  }
  return value;
}

function replaced(json: Json, path: Path, value: Json | undefined): Json {
  const [name, ...rest] = path;
  if (name === undefined) return value as Json;
  if (Array.isArray(json))
    return json.map((item, index) => (index === name ? replaced(item, rest, value) : item));
  const object = json as { readonly [name: string]: Json };
  return {
    ...object,
    [name]: rest.length === 0 ? (value as Json) : replaced(object[name] as Json, rest, value),
  };
}
