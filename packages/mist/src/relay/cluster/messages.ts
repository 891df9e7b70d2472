// What workers and the primary say to each other about topics, on node:cluster's channel. Other messages on it are left
// alone.
//
// Messages of topics travel as base64 in JSON, which is what the channel speaks; the primary passes the text on as it is.

/** Messages of topics: name and base64, one behind the other. */
export type Bundle = readonly string[];

/** What a relay asks of the hub. */
export type Ask =
  | { readonly do: "open"; readonly keep: number; readonly id: number }
  | { readonly do: "subscribe"; readonly topic: string; readonly id: number }
  | { readonly do: "unsubscribe"; readonly topic: string }
  | { readonly do: "publish"; readonly bundle: Bundle }
  | { readonly do: "history"; readonly topic: string; readonly limit: number; readonly id: number }
  | { readonly do: "close" };

/** What the hub tells a relay. */
export type Tell =
  | { readonly do: "receive"; readonly bundle: Bundle }
  /** An answer to what was asked under that number. */
  | { readonly do: "done"; readonly id: number; readonly kept: readonly string[] }
  /** Its process took so little that messages for it were dropped; from here on it is sent what comes. */
  | { readonly do: "missed" };

/** To the hub, from the relay of that number in its process. */
export interface Request {
  readonly mistTopics: "to-hub";
  readonly relay: number;
  readonly ask: Ask;
}

/** From the hub, to the relay of that number in its process. */
export interface Notice {
  readonly mistTopics: "from-hub";
  readonly relay: number;
  readonly tell: Tell;
}

export function isRequest(message: unknown): message is Request {
  return kindOf(message) === "to-hub";
}

export function isNotice(message: unknown): message is Notice {
  return kindOf(message) === "from-hub";
}

function kindOf(message: unknown): unknown {
  return typeof message === "object" && message !== null
    ? (message as { readonly mistTopics?: unknown }).mistTopics
    : undefined;
}

/** Topics of this kind are not kept. */
export function isOfTheMoment(topic: string): boolean {
  return topic.startsWith("\0");
}
