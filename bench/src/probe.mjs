// Loaded into every server before its program (`--import`, Bun's `--preload`). Each line on standard input is a command,
// and its answer is a line on standard output: what the process has cost so far, or the result of a task that the
// program offers in `globalThis.benchTasks`.

globalThis.benchTasks = {};

/**
 * What an application would hold.
 *
 * @type {object[]}
 */
let ballast = [];

export const commands = {
  usage() {
    const { user, system } = process.cpuUsage();
    return { cpu: user + system };
  },
  async memory() {
    for (let i = 0; i < 4; i++) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    return { heap: heapUsed + external, rss };
  },
  versions: () => ({ ...process.versions }),
  /**
   * Publishes `times` messages of `size` bytes, one in every turn of the event loop.
   *
   * @param {{ size: number, times: number }} messages
   */
  async publish({ size, times }) {
    const data = "x".repeat(size);
    for (let i = 0; i < times; i++) {
      globalThis.benchTasks.publish?.(data);
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
  /** @param {import("./figures.mjs").Task} task */
  run: (task) => globalThis.benchTasks.run?.(task),
  /**
   * Holds that many small objects, which a collection of the whole heap must walk.
   *
   * @param {{ objects: number }} wanted
   */
  hold({ objects }) {
    ballast = Array.from({ length: objects }, (_, id) => ({ id, name: `object ${id}` }));
    return { objects: ballast.length };
  },
};

let text = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", async (chunk) => {
  text += chunk;
  const lines = text.split("\n");
  text = lines.pop() ?? "";
  for (const line of lines) {
    /** @type {{ command: keyof typeof commands }} */
    const { command, ...more } = JSON.parse(line);
    const result = await /** @type {(more: object) => unknown} */ (commands[command])(more);
    process.stdout.write(`${JSON.stringify({ probe: result ?? {} })}\n`);
  }
});
// Ends with the process that measures.
process.stdin.on("end", () => process.exit());
