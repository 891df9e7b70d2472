// The port between an exchange and the connection it takes place on.

import type { Connection } from "@x/glisten";
import type { Http1Connection } from "../../http1/connection.ts";
import type { UpgradeBody } from "../body/response-body.ts";
import type { Exchange } from "./exchange.ts";
import type { IncomingBody } from "./request-body.ts";
import type { Service } from "./service.ts";

/** What an exchange needs of the connection it takes place on. */
export interface ExchangeHost {
  readonly service: Service;
  readonly core: Http1Connection;
  readonly scheme: "http" | "https";
  readonly stopping: boolean;
  /** The server is stopping, and no request behind this one needs an answer. */
  readonly closing: boolean;
  /** Queues bytes, and text that belongs to them, behind everything written before. False: wait for `drain`. */
  write(data: string | Uint8Array, suffix?: string, onSent?: () => void): boolean;
  /** Has what was queued leave before the event loop goes on. */
  flushSoon(): void;
  /** The response is complete. */
  answered(exchange: Exchange): void;
  /** The response cannot be completed: the connection ends so that the client sees it. */
  breakOff(): void;
  /** The connection goes on in another protocol. */
  upgrade(body: UpgradeBody, onError: (error: unknown) => void): void;
  pullBody(body: IncomingBody): Buffer | null | undefined;
  setActorDeadline(ms: number): void;
  readonly bufferedAmount: number;
  /** The glisten connection, for its addresses. */
  readonly connection: Connection;
}
