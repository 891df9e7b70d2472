export async function runActors(..._a: unknown[]): Promise<void> {}
