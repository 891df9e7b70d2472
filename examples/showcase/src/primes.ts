// Primes, worked out as they are asked for: nothing is computed ahead of the reader.

/** The numbers of one piece of the answer. */
const PER_PIECE = 2_000;

/** The first `count` primes, one a line, in pieces. */
export function* primes(count: number): Generator<string, void, undefined> {
  const known: number[] = [];
  let piece = "";
  let pending = 0;
  let sent = 0;
  for (let candidate = 2; sent + pending < count; candidate += candidate === 2 ? 1 : 2) {
    if (!isPrime(candidate, known)) continue;
    known.push(candidate);
    piece += `${candidate}\n`;
    pending++;
    if (pending === PER_PIECE) {
      yield piece;
      sent += pending;
      pending = 0;
      piece = "";
    }
  }
  if (piece !== "") yield piece;
}

/** Trial division by the primes already found. */
function isPrime(candidate: number, known: readonly number[]): boolean {
  for (const prime of known) {
    if (prime * prime > candidate) return true;
    if (candidate % prime === 0) return false;
  }
  return true;
}
