// Loaded into every server ahead of its program (`--import`, Bun's `--preload`): answers on standard output, a line
// for a line, what the process has cost so far, and runs the tasks a program has put into `globalThis.benchTasks`.

globalThis.benchTasks = {};

const commands = {
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
  /** So many messages of so many bytes, one in every turn of the event loop. */
  async publish({ size, times }) {
    const data = "x".repeat(size);
    for (let i = 0; i < times; i++) {
      globalThis.benchTasks.publish(data);
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
  task: ({ name, ...more }) => globalThis.benchTasks[name](more),
};

let text = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", async (chunk) => {
  text += chunk;
  const lines = text.split("\n");
  text = lines.pop();
  for (const line of lines) {
    const { command, ...more } = JSON.parse(line);
    const result = await commands[command](more);
    process.stdout.write(`${JSON.stringify({ probe: result ?? {} })}\n`);
  }
});
// Whoever measures is gone.
process.stdin.on("end", () => process.exit());
