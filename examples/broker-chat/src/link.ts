// Keeps this process linked to the broker: connects, listens, and connects again when the link breaks.

import { setTimeout as sleep } from "node:timers/promises";
import { Nats } from "./nats.ts";

const SUBJECT = "chat.room";
const RETRY_MS = 500;

export interface Link {
  /** Publishes to everyone, ourselves included. False when there is no broker at the moment. */
  publish(text: string): boolean;
  /** Ends the link for good. */
  stop(): Promise<void>;
}

/** What becomes of the link: it stands, it broke, or it brought something. */
export type News =
  | { type: "linked" }
  | { type: "unlinked"; error: unknown }
  | { type: "heard"; text: string };

export function link(host: string, port: number, tell: (news: News) => void): Link {
  const stopping = new AbortController();
  let nats: Nats | undefined;
  let away = false;

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        nats = await Nats.connect(host, port, stopping.signal);
        away = false;
        tell({ type: "linked" });
        for await (const text of nats.subscribe(SUBJECT)) tell({ type: "heard", text });
      } catch (error) {
        nats = undefined;
        // Told once, not with every attempt.
        if (!away && !stopping.signal.aborted) tell({ type: "unlinked", error });
        away = true;
      }
      await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  const ended = run();
  return {
    publish(text) {
      // A failure to send is a broken link, and whoever listens hears of that.
      nats?.publish(SUBJECT, text).catch(() => {});
      return nats !== undefined;
    },
    async stop() {
      stopping.abort();
      await nats?.close();
      await ended;
    },
  };
}
