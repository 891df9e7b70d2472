// `@x/glisten/testing`: for tests of programs that are built on glisten, with any test runner.

export { type Clock, type Timer, useClock } from "../clock.ts";
export {
  type PendingTimer,
  type VirtualClock,
  type VirtualClockOptions,
  virtualClock,
} from "./virtual-clock.ts";
