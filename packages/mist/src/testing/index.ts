// `@x/mist/testing`: for tests of servers, with any test runner.

export {
  type Clock,
  type PendingTimer,
  type Timer,
  type VirtualClock,
  type VirtualClockOptions,
  virtualClock,
} from "@x/glisten/testing";
