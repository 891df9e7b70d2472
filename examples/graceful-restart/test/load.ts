// Clients that never rest: some take a new connection for every request, some keep theirs.

import { Agent, request } from "undici";

export interface Load {
  /** Process ids that have answered so far. */
  readonly answeredBy: ReadonlySet<number>;
  /** Resolves when a process that is not among `known` has answered; rejects when a request failed. */
  someoneElse(known: ReadonlySet<number>): Promise<void>;
  /** Ends the load: how many were answered, and what went wrong. */
  stop(): Promise<{ answered: number; failures: string[] }>;
}

export function startLoad(url: string): Load {
  const answeredBy = new Set<number>();
  const failures: string[] = [];
  const waiting = new Set<() => void>();
  let answered = 0;
  let stopped = false;

  async function client(agent: Agent): Promise<void> {
    while (!stopped) {
      try {
        const { statusCode, body } = await request(url, { dispatcher: agent });
        const text = await body.text();
        if (statusCode !== 200) throw new Error(`status ${statusCode}`);
        answered++;
        answeredBy.add(Number(/process (\d+)/.exec(text)?.[1]));
      } catch (error) {
        failures.push(String(error));
      }
      for (const check of waiting) check();
    }
    await agent.close();
  }

  const fresh = Array.from({ length: 3 }, () => client(new Agent({ pipelining: 0 })));
  const kept = Array.from({ length: 2 }, () => client(new Agent()));
  return {
    answeredBy,
    someoneElse: (known) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const arrived = [...answeredBy].some((pid) => !known.has(pid));
          if (!arrived && failures.length === 0) return;
          waiting.delete(check);
          if (arrived) resolve();
          else reject(new Error(failures.join("\n")));
        };
        waiting.add(check);
        check();
      }),
    async stop() {
      stopped = true;
      await Promise.all([...fresh, ...kept]);
      return { answered, failures };
    },
  };
}
