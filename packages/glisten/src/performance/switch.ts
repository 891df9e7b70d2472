// What glisten does for speed alone, and how to do without.
//
// `GLISTEN_WITHOUT=push,weight,buffers` in the environment, read once, turns some of it off: to measure whether it
// pays, and to rule it out when something is wrong. Nothing but speed and memory may change with it.

/** The names that `GLISTEN_WITHOUT` knows. */
export type Trick = "push" | "weight" | "buffers";

/** Whether to do it. */
export const isOn: (trick: Trick) => boolean = switches("GLISTEN_WITHOUT");

/** Tells which tricks are on: all but those that `variable` names, separated by commas, in the environment. */
export function switches<Trick extends string>(variable: string): (trick: Trick) => boolean {
  const without = (process.env[variable] ?? "").split(",");
  return (trick) => !without.includes(trick);
}
