// The port below an exchange: what it needs of the protocol that carries one request and its response.
//
// An HTTP/1 connection implements it for the cycle in work. What the channel tells the exchange stands in
// `exchange.ts`: `peerEnded`, `abandon`, `shutdown`, `deadline`, and `resume` and `fail` of the request's body.

import type { Connection } from "@x/glisten";
import type { Flow } from "@x/glisten/kit";
import type { Fields } from "../../http/fields.ts";
import type { UpgradeBody, UpgradeHost } from "../body/response-body.ts";
import type { BodyProvider } from "./request-body.ts";
import type { Service } from "./service.ts";

/** The head of a final response: a `Response` is one. */
export interface ResponseParts {
  readonly status: number;
  readonly headers: Fields;
  /** Defined if trailers follow the content. */
  readonly trailers: unknown;
}

/** One request and its response, below the exchange. Every method throws a UsageError for what cannot be sent. */
export interface Channel extends BodyProvider {
  readonly service: Service;
  readonly scheme: "http" | "https";
  /** The connection below, for its addresses. */
  readonly connection: Connection;
  /** Blocked while the client takes less than it is sent; abandoned when it is gone. */
  readonly room: Flow;
  /** Bytes sent and not yet taken by the kernel. */
  readonly bufferedAmount: number;
  /** The connection has been told to shut down. */
  readonly shuttingDown: boolean;
  /** The client has half-closed: it will send no more. */
  readonly peerEnded: boolean;
  /** Sends an interim response. */
  inform(status: number, fields: Fields): void;
  /** Sends a whole response: head, content and end. Text is sent as UTF-8. */
  respond(response: ResponseParts, body: string | Uint8Array): void;
  /** Sends the head of a response whose content follows; `length` in bytes if it is known. */
  sendHead(response: ResponseParts, length: number | undefined): void;
  /** Sends a piece of content. `onSent` is called when the kernel has taken it, or never will. */
  sendData(data: Uint8Array, onSent?: () => void): void;
  /** Ends the content. */
  sendEnd(trailers: Fields): void;
  /** Has what was sent leave before the event loop goes on. */
  flush(): void;
  /** The exchange is over, its response complete: the channel may go on to the next. */
  finished(): void;
  /**
   * The response cannot be completed: the client sees it broken off. `"reset"`: at once, and without what it has not
   * taken yet, which frees the memory.
   */
  abort(how: "close" | "reset"): void;
  /** Accepts the upgrade that the request asked for; `handOver` follows. Returns the status that says so. */
  upgrade(response: ResponseParts): number;
  /** The exchange is over: what carried it goes on in the protocol that `body` starts. */
  handOver(body: UpgradeBody, host: UpgradeHost): void;
  /** Has the exchange's `deadline` called in `ms` milliseconds; 0 clears. One slot. */
  setDeadline(ms: number): void;
}
