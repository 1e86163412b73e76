/**
 * Random numbers that come out the same on every machine for the same seed (sfc32), so that a run
 * that printed its seed can be had again.
 */

export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
  /** Uniform integer in [0, limit). */
  integer(limit: number): number;
  /** Standard normal. */
  normal(): number;
}

export function seededRandom(seed: number): Random {
  let a = seed | 0;
  let b = 0x9e3779b9 | 0;
  let c = 0x243f6a88 | 0;
  let counter = 1;
  const bits = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 15; round++) bits();
  const next = (): number => bits() / 4294967296;
  return {
    next,
    integer: (limit) => Math.floor(next() * limit),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  };
}

/** The seed in the environment variable SEED, or a new one; what is drawn from it must print it. */
export function seedFromEnvironment(): number {
  const text = process.env.SEED;
  if (text === undefined || text === "") return Math.floor(Math.random() * 4294967296);
  const seed = Number(text);
  if (!Number.isInteger(seed)) throw new Error(`SEED is "${text}", not an integer`);
  return seed;
}
