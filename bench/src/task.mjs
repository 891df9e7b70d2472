// Takes what a task costs in the process that does it; the probe asks for it.

/** @import { Task, TaskCost } from "./figures.mjs" */

import { median } from "./median.mjs";

/**
 * What does the units of one batch.
 *
 * @typedef {{ run(units: number): void | Promise<void>, close?(): unknown }} Worker
 */

/**
 * Offers tasks to the probe: `open` makes what does them, anew for every batch.
 *
 * @param {(task: Task) => Worker | Promise<Worker>} open
 */
export function offer(open) {
  globalThis.benchTasks.run = async (task) => {
    await batch(open, task);
    /** @type {TaskCost[]} */
    const all = [];
    for (let i = 0; i < task.batches; i++) all.push(await batch(open, task));
    return { cpu: median(all.map(({ cpu }) => cpu)), wall: median(all.map(({ wall }) => wall)) };
  };
  console.log("ready");
}

/**
 * One batch, warm.
 *
 * @param {(task: Task) => Worker | Promise<Worker>} open
 * @param {Task} task
 * @returns {Promise<TaskCost>}
 */
async function batch(open, task) {
  const { units } = task;
  const worker = await open(task);
  await worker.run(Math.ceil(units / 10));
  const cpu = process.cpuUsage();
  const since = performance.now();
  await worker.run(units);
  const wall = (performance.now() - since) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  await worker.close?.();
  return { cpu: (user + system) / units, wall: wall / units };
}
