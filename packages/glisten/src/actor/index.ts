// The actor library: actors, addresses, selectors, calls and supervisors.

// Actors, and what their loops return.

export { type ActorOptions, type ActorRef, ActorStartError, start } from "./actor.ts";
export { continue_ as continue, type LoopResult, type Next, stop, stopAbnormal } from "./next.ts";

// Where messages come from.

export { CallError, call } from "./call.ts";
export { type MailboxLimits, MailboxOverflowError, type OverflowPolicy } from "./mailbox.ts";
export {
  type Initialised,
  type Receiver,
  type Selector,
  type Source,
  selector,
  type Unsubscribe,
} from "./selector.ts";
export { type FreeSubject, ReceiveError, type Subject, subject } from "./subject.ts";

// How a process ends, and watching it end.

export {
  abnormalExit,
  describeExit,
  type ExitReason,
  isFailure,
  killedExit,
  normalExit,
  shutdownExit,
} from "./exit.ts";
export { type Monitored, monitor, type ProcessDown } from "./monitor.ts";

// Supervision.

export type { Child, ChildSpecification, Restart, Shutdown } from "./supervision/child-specification.ts";
export {
  FactoryClosedError,
  factorySupervisor,
  factorySupervisorSpec,
} from "./supervision/dynamic-supervisor.ts";
export type {
  FactoryEvent,
  FactoryOptions,
  FactoryReport,
  FactorySupervisor,
  LightChild,
} from "./supervision/factory-supervisor.ts";
export { type RestartIntensity, RestartIntensityError } from "./supervision/intensity.ts";
export { SupervisorStartError } from "./supervision/static-supervisor.ts";
export { supervisor, supervisorSpec } from "./supervision/supervise.ts";
export type {
  ChildInfo,
  Strategy,
  Supervisor,
  SupervisorEvent,
  SupervisorOptions,
} from "./supervision/supervisor.ts";

// The loop below handlers, for protocols that bring their own source of messages.

export { type AnyIfUnknown, type LoopHost, UserLoop, type UserResult } from "./user-loop.ts";
