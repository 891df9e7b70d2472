// Tells what the server has cost so far, when asked with SIGUSR2.
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  console.log(JSON.stringify({ cpuMs: (user + system) / 1000, heapUsed, rss }));
});
