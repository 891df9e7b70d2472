// The seam between topics and whatever carries their messages to other processes.
//
// A relay moves opaque bytes. Topics own everything else: what the bytes mean, who published them, their order,
// duplicates, validation, the log, presence, and what waits while the broker is away (`outbox.ts`). So a relay is
// little more than the calls of its engine's client.

/**
 * Carries the messages of topics between processes.
 *
 * Topic names are 1 to 255 UTF-16 code units, well-formed, and otherwise arbitrary: a relay encodes them where its
 * engine's names allow less. Per publisher and topic, messages arrive in the order of the calls of `publish`. No message
 * is given to the sink twice, except after a reconnect.
 *
 * @example
 * Between the threads of a process:
 * ```ts
 * import type { Relay } from "@x/mist";
 *
 * function threads(name: string): Relay {
 *   const channel = new BroadcastChannel(name);
 *   const topics = new Set<string>();
 *   return {
 *     open(sink) {
 *       channel.onmessage = ({ data }) => {
 *         if (topics.has(data.topic)) sink.receive(data.topic, data.bytes);
 *       };
 *       sink.connected();
 *     },
 *     subscribe: (topic) => void topics.add(topic),
 *     unsubscribe: (topic) => void topics.delete(topic),
 *     publish: (topic, bytes) => channel.postMessage({ topic, bytes }),
 *     close: () => channel.close(),
 *   };
 * }
 * ```
 */
export interface Relay {
  /**
   * Begins to connect, and reports to `sink` from now on. Called once, before anything else. Topics do not wait for it:
   * a relay that cannot connect yet goes on trying. A rejection ends the attempts, and is reported as `disconnected`.
   */
  open(sink: RelaySink): Promise<void> | void;
  /**
   * This process wants what others publish to the topic. Never called twice without an `unsubscribe` between. Resolves
   * once nothing that others publish from then on is missed. While disconnected it is remembered for the next connection:
   * a relay renews its subscriptions before it reports `connected`. Rejects if the engine refuses it; the topic is then
   * not subscribed.
   */
  subscribe(topic: string): Promise<void> | void;
  /** This process wants no more of the topic. What arrives late is dropped by the relay. */
  unsubscribe(topic: string): Promise<void> | void;
  /**
   * Sends to all processes that have subscribed, in the order of the calls. It may come back to this one: topics
   * recognise their own. Resolves when the engine has taken the message. Called only while connected, and again for
   * what a lost connection left unresolved; so a relay keeps no queue of its own.
   *
   * Rejects if the engine refuses the message (too large, no permission): it is dropped then. If the cause is a lost
   * connection, the relay calls `disconnected` before it rejects, and the message is published again on the next
   * `connected`. `bytes` are not modified afterwards.
   */
  publish(topic: string, bytes: Uint8Array): Promise<void> | void;
  /**
   * The newest messages of the topic, at most `limit`, oldest first. Only for engines that keep messages. A relay with
   * `history` also receives, after a reconnect and before it reports `connected`, what its subscriptions have missed.
   * Topics that begin with NUL are for messages of the moment, which need not be kept.
   */
  history?(topic: string, limit: number): Promise<readonly Uint8Array[]>;
  /**
   * Ends everything that the relay has opened; what it was given by its user stays open. Called once; resolves even if
   * the engine is away. What is reported afterwards is ignored.
   */
  close(): Promise<void> | void;
}

/** What a relay reports to. Its methods do not throw. */
export interface RelaySink {
  /**
   * A message of a topic that this process has subscribed to. The relay does not touch `bytes` afterwards. They may be
   * anybody's: topics ignore what they did not write themselves.
   */
  receive(topic: string, bytes: Uint8Array): void;
  /** The engine can be reached, and has the subscriptions. Calling it twice does nothing. */
  connected(): void;
  /** The engine cannot be reached. Calling it twice does nothing. */
  disconnected(cause: unknown): void;
}
