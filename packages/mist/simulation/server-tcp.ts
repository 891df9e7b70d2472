export async function runTcp(..._a: unknown[]): Promise<void> {}
