// Rounds: within each, every contestant of a case has its turn on a fresh process, and the next round begins with
// another one. A ratio is the median of the rounds' ratios, so that what the machine does meanwhile falls on both.

import { beyond, scaled } from "./cases.mjs";
import { contestants, startPeer } from "./contestants.mjs";
import { LoadProcess } from "./load-process.mjs";

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Where servers come from: a fresh process each time, or, to be quick about it, one for all that ask for it. */
export class Servers {
  #kept = new Map();
  #keep;
  #certificate;

  constructor({ keep, certificate }) {
    this.#keep = keep;
    this.#certificate = certificate;
  }

  /** Runs `use` with a server of that name. */
  async with(name, use) {
    const server = this.#kept.get(name) ?? (await this.#start(name));
    if (this.#keep) this.#kept.set(name, server);
    try {
      return await use(server);
    } finally {
      if (!this.#keep) await server.stop();
    }
  }

  #start(name) {
    return name === "peer" ? startPeer() : contestants[name].start(this.#certificate);
  }

  stop() {
    LoadProcess.stopKept();
    return Promise.all([...this.#kept.values()].map((server) => server.stop()));
  }
}

/** One turn: one figure. */
async function turn(one, { name, server: serverName, job }, extent, servers) {
  try {
    return await servers.with(serverName, (server) => {
      if (!one.peer) return one.measure(server, scaled(job, extent), extent);
      return servers.with("peer", (peer) => one.measure(server, { ...job, peerPort: peer.port }, extent));
    });
  } catch (error) {
    throw new Error(`${one.title}: ${name} failed`, { cause: error });
  }
}

/** Measures a case: `{ id, …, figures: { name: median }, rounds: { name: [figure] }, targets, skipped }`. */
export async function measureCase(one, extent, servers) {
  const skipped = {};
  const able = one.contestants.filter((each) => {
    const why = contestants[each.server].missing?.() ?? beyond(each.job, extent);
    if (why !== undefined) skipped[each.name] = why;
    return why === undefined;
  });
  const rounds = Object.fromEntries(able.map((each) => [each.name, []]));
  for (let round = 0; round < extent.rounds; round++) {
    for (let i = 0; i < able.length; i++) {
      const each = able[(i + round) % able.length];
      rounds[each.name].push(await turn(one, each, extent, servers));
    }
  }
  const { id, group, title, unit } = one;
  const result = { id, group, title, unit, ...medians(rounds), rounds: onlyFigures(rounds), skipped };
  return { ...result, ratios: ratios(result), targets: one.targets.map((target) => judge(target, result)) };
}

function onlyFigures(rounds) {
  return Object.fromEntries(
    Object.entries(rounds).map(([name, all]) => [name, all.map((one) => one.figure)]),
  );
}

/** The medians of the figures, and of whatever else was taken with them. */
function medians(rounds) {
  const figures = {};
  const details = {};
  for (const [name, all] of Object.entries(rounds)) {
    figures[name] = median(all.map((one) => one.figure));
    const others = Object.keys(all[0]).filter((key) => key !== "figure");
    details[name] = Object.fromEntries(others.map((key) => [key, median(all.map((one) => one[key]))]));
  }
  return { figures, details };
}

/** What the first contestant takes for each unit that another one takes. */
function ratios({ rounds }) {
  const [[, ours] = [], ...others] = Object.entries(rounds);
  return Object.fromEntries(
    others.map(([name, all]) => [name, median(ours.map((mine, i) => mine / all[i]))]),
  );
}

function judge(target, result) {
  if (target.spreadOf !== undefined) {
    const own = Object.entries(result.figures).filter(([name]) => name.startsWith(`${target.spreadOf}, `));
    const all = own.map(([, figure]) => figure);
    return verdict(target, Math.max(...all) / Math.min(...all), target.atMost);
  }
  const ours = Object.values(result.figures)[0];
  const theirs = result.figures[target.against];
  if (ours === undefined || theirs === undefined) return { ...target, measured: undefined, met: undefined };
  if (target.apartAtMost !== undefined) return verdict(target, ours - theirs, target.apartAtMost);
  return verdict(target, ratios(result)[target.against], target.atMost);
}

function verdict(target, measured, limit) {
  return { ...target, measured, met: measured <= limit };
}
