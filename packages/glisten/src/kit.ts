// `@x/glisten/kit`: what a protocol built on glisten shares with it. Importing it opens no socket and starts no timer.

export { checkMailboxLimits, mailboxOptions } from "./actor/mailbox.ts";
export { callUser, harmless, isPromiseLike, refusePromise, warn } from "./actor/user-code.ts";
export { type Clock, clock, oneTurn, type Timer, whenClockChanges } from "./clock.ts";
export {
  CertificateError,
  type CertificateErrorReason,
  DeadlineError,
  describeError,
  HandlerError,
  ignore,
  ProxyProtocolError,
  type SocketReason,
  StartError,
  type StartErrorReason,
  TransportError,
  UsageError,
} from "./errors.ts";
export { Flow, quietRejection } from "./flow.ts";
export { placeNames, targetOf } from "./listen-place.ts";
export { checkFunction, checkFunctions, checkNames, shown } from "./option-names.ts";
export { switches } from "./performance/switch.ts";
export { unmapIpAddress } from "./transport/address.ts";
export { type TrustedPeers, trustedPeers } from "./transport/proxy-protocol.ts";
