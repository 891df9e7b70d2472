// A child of the server's tree that ends at once when it is told to.

import { type Child, type ExitReason, killedExit, shutdownExit } from "../actor/index.ts";

/** Ends once, and tells why. */
export abstract class Part implements Child {
  readonly exited: Promise<ExitReason>;
  #alive = true;
  #tell!: (reason: ExitReason) => void;

  constructor() {
    this.exited = new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  /** False from the end on. */
  get alive(): boolean {
    return this.#alive;
  }

  stop(): Promise<ExitReason> {
    this.exit(shutdownExit);
    return this.exited;
  }

  kill(): void {
    this.exit(killedExit);
  }

  protected exit(reason: ExitReason): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.release(reason);
    this.#tell(reason);
  }

  /** Lets go of what it holds. */
  protected abstract release(reason: ExitReason): void;
}
