// Rounds: in each, every contestant of a case has its turn on a fresh process, and each round begins with another
// contestant. A ratio is the median of the rounds' ratios, so that what else the machine does affects both sides.

/** @import { Case, Target } from "./cases.mjs" */
/** @import { Certificate } from "./contestants.mjs" */
/** @import { Extent, Figure, Job } from "./figures.mjs" */
/** @import { ServerProcess } from "./server-process.mjs" */

import { beyond, scaled } from "./cases.mjs";
import { contestants, startPeer } from "./contestants.mjs";
import { LoadProcess } from "./load-process.mjs";
import { median } from "./median.mjs";

/**
 * A target and what came of it; undefined where the peer could not be measured.
 *
 * @typedef {Target & { measured: number | undefined, met: boolean | undefined }} JudgedTarget
 */

/**
 * What a case gave, as docs/bench/results.json has it.
 *
 * @typedef {object} Result
 * @property {string} id
 * @property {string} group
 * @property {string} title
 * @property {string} unit
 * @property {Record<string, number>} figures medians, by contestant
 * @property {Record<string, Record<string, number>>} details medians of what else was measured
 * @property {Record<string, number[]>} rounds
 * @property {Record<string, string>} skipped why a contestant was left out
 * @property {Record<string, number>} ratios ours to each other contestant's
 * @property {JudgedTarget[]} targets
 */

/** Starts servers: a fresh process each time, or, to save time, one process for everybody who asks for it. */
export class Servers {
  /** @type {Map<string, ServerProcess>} */
  #kept = new Map();
  #keep;
  #certificate;

  /** @param {{ keep: boolean, certificate: Certificate }} options */
  constructor({ keep, certificate }) {
    this.#keep = keep;
    this.#certificate = certificate;
  }

  /**
   * Runs `use` with a server of that name.
   *
   * @template Result
   * @param {string} name
   * @param {(server: ServerProcess) => Promise<Result>} use
   */
  async with(name, use) {
    const server = this.#kept.get(name) ?? (await this.#start(name));
    if (this.#keep) this.#kept.set(name, server);
    try {
      return await use(server);
    } finally {
      if (!this.#keep) await server.stop();
    }
  }

  /** @param {string} name */
  #start(name) {
    return name === "peer" ? startPeer() : contestant(name).start(this.#certificate);
  }

  stop() {
    LoadProcess.stopKept();
    return Promise.all([...this.#kept.values()].map((server) => server.stop()));
  }
}

/** @param {string} name */
function contestant(name) {
  const found = contestants[name];
  if (found === undefined) throw new Error(`there is no contestant "${name}"`);
  return found;
}

/**
 * One turn: one figure.
 *
 * @param {Case} one
 * @param {Case["contestants"][number]} each
 * @param {Extent} extent
 * @param {Servers} servers
 * @returns {Promise<Figure>}
 */
async function turn(one, { name, server: serverName, job }, extent, servers) {
  try {
    return await servers.with(serverName, (server) => {
      if (!one.peer) return one.measure(server, scaled(job, extent), extent);
      return servers.with("peer", (peer) =>
        one.measure(server, /** @type {Job} */ ({ ...job, peerPort: peer.port }), extent),
      );
    });
  } catch (error) {
    throw new Error(`${one.title}: ${name} failed`, { cause: error });
  }
}

/**
 * Measures a case.
 *
 * @param {Case} one
 * @param {Extent} extent
 * @param {Servers} servers
 * @returns {Promise<Result>}
 */
export async function measureCase(one, extent, servers) {
  /** @type {Record<string, string>} */
  const skipped = {};
  const able = one.contestants.filter((each) => {
    const why = contestant(each.server).missing?.() ?? beyond(each.job, extent);
    if (why !== undefined) skipped[each.name] = why;
    return why === undefined;
  });
  const turns = able.map((each) => ({ each, taken: /** @type {Figure[]} */ ([]) }));
  for (let round = 0; round < extent.rounds; round++) {
    const first = round % Math.max(1, turns.length);
    for (const { each, taken } of [...turns.slice(first), ...turns.slice(0, first)])
      taken.push(await turn(one, each, extent, servers));
  }
  const { id, group, title, unit } = one;
  const taken = Object.fromEntries(turns.map(({ each, taken }) => [each.name, taken]));
  const rounds = mapValues(taken, (all) => all.map(({ figure }) => figure));
  const figures = mapValues(rounds, median);
  const shares = ratios(rounds);
  return {
    ...{ id, group, title, unit, figures, details: mapValues(taken, details), rounds, skipped },
    ratios: shares,
    targets: one.targets.map((target) => judge(target, figures, shares)),
  };
}

/**
 * @template From, To
 * @param {Record<string, From>} record
 * @param {(value: From) => To} change
 * @returns {Record<string, To>}
 */
function mapValues(record, change) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

/**
 * The medians of what was measured beside the figures.
 *
 * @param {Figure[]} all
 */
function details(all) {
  const others = Object.keys(all[0] ?? {}).filter((key) => key !== "figure");
  return Object.fromEntries(others.map((key) => [key, median(all.map((one) => one[key] ?? Number.NaN))]));
}

/**
 * The first contestant's share of what each other one takes.
 *
 * @param {Record<string, number[]>} rounds
 */
function ratios(rounds) {
  const [[, ours = []] = [], ...others] = Object.entries(rounds);
  return Object.fromEntries(
    others.map(([name, all]) => [name, median(ours.map((mine, i) => mine / (all[i] ?? Number.NaN)))]),
  );
}

/**
 * @param {Target} target
 * @param {Record<string, number>} figures
 * @param {Record<string, number>} ratios
 * @returns {JudgedTarget}
 */
function judge(target, figures, ratios) {
  if (target.spreadOf !== undefined) {
    const own = Object.entries(figures).filter(([name]) => name.startsWith(`${target.spreadOf}, `));
    const all = own.map(([, figure]) => figure);
    return verdict(target, Math.max(...all) / Math.min(...all), target.atMost);
  }
  const ours = Object.values(figures)[0];
  const theirs = figures[target.against];
  if (ours === undefined || theirs === undefined) return { ...target, measured: undefined, met: undefined };
  if (target.apartAtMost !== undefined) return verdict(target, ours - theirs, target.apartAtMost);
  return verdict(target, ratios[target.against] ?? Number.NaN, target.atMost);
}

/**
 * @param {Target} target
 * @param {number} measured
 * @param {number} limit
 * @returns {JudgedTarget}
 */
function verdict(target, measured, limit) {
  return { ...target, measured, met: measured <= limit };
}
