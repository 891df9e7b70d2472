// Tells what the server has cost so far, when asked with SIGUSR2.
// What an application would hold: so many small objects, asked for with BALLAST.
globalThis.ballast = Array.from({ length: Number(process.env.BALLAST ?? 0) }, (_, id) => ({
  id,
  name: `object ${id}`,
}));
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  console.log(JSON.stringify({ cpuMs: (user + system) / 1000, heapUsed, rss }));
});
