// What the command needs of the simulator.

export { draw } from "./draw.ts";
export { hashOf, type Result, run } from "./run.ts";
export type { Scenario } from "./scenario.ts";
export { shrink } from "./shrink.ts";
