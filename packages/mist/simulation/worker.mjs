// One process of the simulator: runs ranges of seeds as it is told, and says which failed.

/** @typedef {typeof import("./simulator.ts")} Simulator */
/** @typedef {{ readonly from: number, readonly count: number, readonly untilFound: boolean }} Range */
/** @typedef {{ readonly seed: number, readonly invariant: string, readonly detail: string }} Failure */
/** @typedef {{ readonly from: number, readonly ran: number, readonly events: number, readonly failures: readonly Failure[] }} Report */

/** Every so many seeds one is run twice, to see that both runs are the same. */
const twiceEvery = 50;

/** @type {Simulator} */
const { draw, hashOf, run } = await import(/** @type {string} */ (process.argv[2]));

process.on("message", (range) => void work(/** @type {Range} */ (range)));
process.on("disconnect", () => process.exit());
process.send?.("ready");

/** @param {Range} range */
async function work({ from, count, untilFound }) {
  /** @type {Failure[]} */
  const failures = [];
  let events = 0;
  let seed = from;
  for (; seed < from + count; seed++) {
    const result = await run(draw(seed));
    events += result.events;
    const [finding] = result.findings;
    if (finding !== undefined) failures.push({ seed, ...finding });
    else if (seed % twiceEvery === 0) {
      const again = await run(draw(seed));
      if (hashOf(again) !== hashOf(result))
        failures.push({ seed, invariant: "a seed replays the same", detail: "two runs differ" });
    }
    if (untilFound && failures.length > 0) break;
  }
  const ran = Math.min(seed + 1, from + count) - from;
  process.send?.({ from, ran, events, failures });
}
