// What glisten does for speed alone, and how to do without.
//
// `GLISTEN_WITHOUT=push,weight,buffers` in the environment, read once, turns some of it off: to measure whether it
// pays, and to rule it out when something is wrong. Nothing but speed and memory may change with it.

/** The names that `GLISTEN_WITHOUT` knows. */
export type Trick = "push" | "weight" | "buffers";

const without: readonly string[] = (process.env.GLISTEN_WITHOUT ?? "").split(",");

/** Whether to do it. */
export function isOn(trick: Trick): boolean {
  return !without.includes(trick);
}
