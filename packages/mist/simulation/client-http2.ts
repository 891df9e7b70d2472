import { PlainClientRun } from "./client-http1.ts";
export class Http2ClientRun { name = ""; failures: unknown[] = []; constructor(..._a: unknown[]) {} async run(): Promise<void> {} serve(_r: unknown): never { throw new Error(); } }
export type X = PlainClientRun;
