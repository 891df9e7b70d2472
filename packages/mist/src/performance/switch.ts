// What mist does for speed alone, and how to do without.
//
// `MIST_WITHOUT=free,zlib-step` in the environment, read once, turns some of it off: to measure whether it pays, and to
// rule it out when something is wrong. Nothing but speed and memory may change with it.

import { switches } from "@x/glisten/kit";

/** The names that `MIST_WITHOUT` knows: packets given back by hand (free.ts), zlib's synchronous step (zlib-step.ts). */
export type Trick = "free" | "zlib-step";

/** Whether to do it. */
export const isOn: (trick: Trick) => boolean = switches("MIST_WITHOUT");
