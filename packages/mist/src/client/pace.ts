// Memory is never waited for: two ends that read and write without end would keep timers from firing.

import { oneTurn } from "@x/glisten/kit";

const stepsPerTurn = 64;

/** Has the event loop turn now and then. */
export class Pace {
  #steps = 0;

  async step(): Promise<void> {
    this.#steps += 1;
    if (this.#steps % stepsPerTurn === 0) await oneTurn();
  }
}
