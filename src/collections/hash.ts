/**
 * MurmurHash3, the 32-bit form (Austin Appleby, public domain), seeded a shard: ids are chosen by
 * strangers.
 */
export function hashBytes(bytes: Uint8Array, start: number, length: number, seed: number): number {
  let hash = seed;
  const blocks = start + (length & ~3);
  let at = start;
  for (; at < blocks; at += 4) {
    const block =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash ^= mixBlock(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let i = start + length - 1; i >= at; i--) rest = (rest << 8) | bytes[i]!;
  hash ^= mixBlock(rest) ^ length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mixBlock(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}
