// Which of the measures in this folder are taken. Each costs clarity, or leans on something that a platform may lack, for
// speed alone: everything works without them.
//
// `MIST_WITHOUT=free,zlib-step` in the environment of the process leaves them out.

/** A measure: giving packets back by hand (free.ts), or zlib's synchronous step (zlib-step.ts). */
export type Measure = "free" | "zlib-step";

const without = (process.env["MIST_WITHOUT"] ?? "").split(",");

/** Whether this measure is to be taken. */
export function isOn(measure: Measure): boolean {
  return !without.includes(measure);
}
