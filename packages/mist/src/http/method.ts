// Methods (RFC 9110 §9). Any token is a method, and case counts; these are the registered ones a
// server meets every day, as constants, so that parsing one allocates nothing.

/** The well-known methods by length: a candidate needs its length and its bytes to agree. */
const methodsByLength: readonly (readonly Candidate[])[] = byLength(
  "GET POST PUT HEAD DELETE OPTIONS PATCH CONNECT TRACE".split(" "),
);

interface Candidate {
  readonly method: string;
  readonly bytes: Buffer;
}

function byLength(methods: readonly string[]): Candidate[][] {
  const lists: Candidate[][] = [[], [], [], [], [], [], [], []];
  for (const method of methods) lists[method.length]?.push({ method, bytes: Buffer.from(method, "latin1") });
  return lists;
}

/** The method in `bytes[start, end)`. The bytes have been checked to be a token. */
export function readMethod(bytes: Buffer, start: number, end: number): string {
  const candidates =
    end - start < methodsByLength.length ? (methodsByLength[end - start] as readonly Candidate[]) : [];
  for (let c = 0; c < candidates.length; c++) {
    const candidate = candidates[c] as Candidate;
    if (matches(bytes, start, candidate.bytes)) return candidate.method;
  }
  return bytes.toString("latin1", start, end);
}

function matches(bytes: Buffer, start: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) {
    if (bytes[start + i] !== wanted[i]) return false;
  }
  return true;
}
