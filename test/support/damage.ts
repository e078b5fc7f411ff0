/** What a rotting disk, or a careless hand, does to a file. */

/** The bytes of `name` after one kind of damage, never those of before; undefined where the file is gone. */
export function damageTo(files: ReadonlyMap<string, Uint8Array>, name: string, seed: number): Uint8Array | undefined {
  const bytes = files.get(name)!;
  const random = randomOf(seed);
  const others = [...files.keys()].filter((other) => other !== name && !same(files.get(other)!, bytes));
  const kinds: (() => Uint8Array | undefined)[] = [
    () => flipped(bytes, random),
    () => bytes.subarray(0, random(bytes.length)),
    () => new Uint8Array(0),
    () => Buffer.concat([bytes, Buffer.alloc(1 + random(40), random(256))]),
    () => new Uint8Array(bytes.length),
    () => exchanged(bytes, random),
    // A block of the disk that reads as zeros.
    () => Buffer.from(bytes).fill(0, Math.floor(bytes.length / 2)),
    () => undefined,
    () => files.get(others[random(others.length)]!),
    () => Buffer.concat([bytes, bytes]),
  ];
  for (let kind = seed; ; kind++) {
    const damaged = kinds[kind % kinds.length]!();
    if (damaged === undefined || !same(damaged, bytes)) return damaged;
  }
}

/** Integers in [0, below), the same for each seed (mulberry32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function flipped(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const copy = Buffer.from(bytes);
  copy[random(copy.length)]! ^= 1 << random(8);
  return copy;
}

/** Two stretches of the file, each in the place of the other. */
function exchanged(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const copy = Buffer.from(bytes);
  const half = Math.floor(bytes.length / 2);
  const length = 1 + random(Math.min(64, half - 1));
  const [from, to] = [random(half - length + 1), half + random(half - length + 1)];
  copy.set(bytes.subarray(to, to + length), from);
  copy.set(bytes.subarray(from, from + length), to);
  return copy;
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
