// Promises that outlive their response and that `stop` waits for.

/** Work that handlers left behind with `waitUntil`. */
export class BackgroundWork {
  readonly #pending = new Set<Promise<void>>();

  /** Keeps `work` in mind until it settles; `onError` hears of its rejection. */
  add(work: Promise<unknown>, onError: (error: unknown) => void): void {
    const settled: Promise<void> = work.then(
      () => {},
      (error) => onError(error),
    );
    this.#pending.add(settled);
    void settled.then(() => this.#pending.delete(settled));
  }

  /** Resolves when nothing is left, or after `deadlineMs`. */
  async settle(deadlineMs: number): Promise<void> {
    if (this.#pending.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.race([this.#idle(), deadline]);
    clearTimeout(timer);
  }

  async #idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}
