// A file larger than the socket takes at once, gone when the test is over.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export async function fileRequestFolder(): Promise<{ root: string; name: string; content: string }> {
  const root = await mkdtemp(join(tmpdir(), "mist-half-close-"));
  onTestFinished(() => rm(root, { recursive: true }));
  const content = "0123456789abcdef".repeat(256 * 1024);
  await writeFile(join(root, "file.txt"), content);
  return { root, name: "file.txt", content };
}
