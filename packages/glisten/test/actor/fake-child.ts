import type { Child, ChildSpecification, ExitReason } from "../../src/actor/index.ts";

/** A process that does as it is told, and notes in the log what was done to it. */
export class FakeChild implements Child {
  readonly id: string;
  readonly exited: Promise<ExitReason>;
  alive = true;
  /** The deadline it was given with `stop`. */
  deadlineMs: number | undefined;
  readonly #log: string[];
  readonly #deaf: boolean;
  #exit!: (reason: ExitReason) => void;

  /** `deaf`: does not stop when asked. */
  constructor(id: string, log: string[], deaf = false) {
    this.id = id;
    this.#log = log;
    this.#deaf = deaf;
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
  }

  exit(reason: ExitReason): void {
    this.alive = false;
    this.#exit(reason);
  }

  crash(): void {
    this.exit({ type: "abnormal", error: new Error(`${this.id} crashed`) });
  }

  stop(deadlineMs?: number): Promise<ExitReason> {
    this.deadlineMs = deadlineMs;
    if (this.alive) {
      this.#log.push(`stop ${this.id}`);
      if (!this.#deaf) this.exit({ type: "shutdown" });
    }
    return this.exited;
  }

  kill(): void {
    if (!this.alive) return;
    this.#log.push(`kill ${this.id}`);
    this.exit({ type: "killed" });
  }
}

/** Makes fake children, and remembers the latest of each id. */
export class Nursery {
  readonly log: string[] = [];
  readonly latest = new Map<string, FakeChild>();
  /** Asked at each start: may this one succeed? */
  mayStart: (id: string) => boolean = () => true;

  spec(
    id: string,
    options: Partial<Omit<ChildSpecification, "id" | "start">> & { readonly deaf?: boolean } = {},
  ): ChildSpecification<FakeChild> {
    return {
      id,
      ...options,
      start: async () => {
        if (!this.mayStart(id)) {
          this.log.push(`fail ${id}`);
          throw new Error(`${id} does not start`);
        }
        this.log.push(`start ${id}`);
        const child = new FakeChild(id, this.log, options.deaf);
        this.latest.set(id, child);
        return child;
      },
    };
  }

  child(id: string): FakeChild {
    return this.latest.get(id) as FakeChild;
  }

  /** What has happened since the last time this was asked. */
  news(): string[] {
    return this.log.splice(0);
  }
}

/** Lets everything that is under way, and waits for no timer, come to rest. */
export async function rest(turns = 15): Promise<void> {
  for (let i = 0; i < turns; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
