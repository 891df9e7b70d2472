// All peers of an adapter by namespace, and what is published to them, here and from other processes.

import { randomUUID } from "node:crypto";
import type { AdapterOptions, SyncDriver, SyncMessage } from "crossws";
import { type CrosswsPeer, toRelayed } from "./peer.ts";

export class Peers {
  readonly all: Map<string, Set<CrosswsPeer>> = new Map();

  /** A published message as other processes get it. */
  static relayed(topic: string, data: unknown, namespace: string): SyncMessage {
    return { topic, data: toRelayed(data), namespace };
  }

  /** The peers of a namespace. */
  of(namespace: string): Set<CrosswsPeer> {
    let peers = this.all.get(namespace);
    if (peers === undefined) {
      peers = new Set();
      this.all.set(namespace, peers);
    }
    return peers;
  }

  /** An empty namespace is forgotten: namespaces are paths, of which clients can think of any number. */
  remove(peer: CrosswsPeer): void {
    const peers = this.all.get(peer.namespace);
    peers?.delete(peer);
    if (peers?.size === 0) this.all.delete(peer.namespace);
  }

  /** To the subscribers of a topic in one namespace, or in all. */
  publish(topic: string, data: unknown, namespace: string | undefined): void {
    const groups = namespace ? [this.all.get(namespace) ?? new Set<CrosswsPeer>()] : this.all.values();
    for (const peers of groups) {
      for (const first of peers) {
        if (!first.topics.has(topic)) continue;
        first.send(data);
        first._publish(topic, data);
        break;
      }
    }
  }

  *[Symbol.iterator](): Generator<CrosswsPeer, void, undefined> {
    for (const peers of this.all.values()) yield* peers;
  }
}

/** The backplane of the options, delivering to `peers`; its failures go to `onError`, never into a publish. */
export function connectSync(options: AdapterOptions, peers: Peers): SyncDriver | undefined {
  if (options.sync === undefined) return undefined;
  const report = (stage: "subscribe" | "publish" | "delivery", error: unknown) => {
    if (options.onError === undefined) console.error(`crossws sync ${stage} failed:`, error);
    else options.onError(error, { stage });
  };
  const driver = options.sync({ id: randomUUID() });
  const guarded = async (stage: "subscribe" | "publish", work: () => unknown) => {
    try {
      await work();
    } catch (error) {
      report(stage, error);
    }
  };
  const deliver = ({ topic, data, namespace }: SyncMessage) => {
    try {
      peers.publish(topic, data, namespace || undefined);
    } catch (error) {
      report("delivery", error);
    }
  };
  void guarded("subscribe", () => driver.subscribe(deliver));
  return {
    subscribe: (receiver) => driver.subscribe(receiver),
    publish: (message) => guarded("publish", () => driver.publish(message)),
    ...(driver.close === undefined ? {} : { close: () => driver.close?.() }),
  };
}
