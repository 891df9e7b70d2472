/**
 * The actor library: what runs, how it is addressed, how it is answered, and who looks after it.
 *
 * @module
 */

export { type ActorOptions, type ActorRef, ActorStartError, start } from "./actor.ts";
export { CallError, call } from "./call.ts";
export type { Child, ChildSpecification, Restart, Shutdown } from "./child-specification.ts";
export {
  abnormalExit,
  describeExit,
  type ExitReason,
  isFailure,
  killedExit,
  normalExit,
  shutdownExit,
} from "./exit.ts";
export {
  FactoryClosedError,
  type FactoryEvent,
  type FactoryOptions,
  type FactoryReport,
  type FactorySupervisor,
  factorySupervisor,
  factorySupervisorSpec,
  type LightChild,
} from "./factory-supervisor.ts";
export { type RestartIntensity, RestartIntensityError } from "./intensity.ts";
export { Loop, type LoopOptions } from "./loop.ts";
export { Mailbox, type MailboxLimits, MailboxOverflowError, type OverflowPolicy } from "./mailbox.ts";
export { type Monitored, Monitors, monitor, type ProcessDown } from "./monitor.ts";
export { continue_ as continue, type LoopResult, type Next, stop, stopAbnormal } from "./next.ts";
export {
  type Initialised,
  isSelector,
  type Receiver,
  type Selector,
  type Source,
  selector,
  splitInitialised,
  type Unsubscribe,
} from "./selector.ts";
export { type FreeSubject, OwnedSubject, ReceiveError, type Subject, subject } from "./subject.ts";
export {
  type ChildInfo,
  type Strategy,
  type Supervisor,
  type SupervisorEvent,
  type SupervisorOptions,
  SupervisorStartError,
  supervisor,
  supervisorSpec,
} from "./supervisor.ts";
