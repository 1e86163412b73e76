/**
 * CRC-32C (Castagnoli, reflected), the checksum of frames and snapshot sections.
 */


const POLYNOMIAL: u32 = 0x82f63b78;

// @ts-ignore: decorator
@inline
function entry(table: usize, slice: usize, byte: u32): u32 {
  return load<u32>(table + (slice << 10) + (<usize>byte << 2));
}

/** Writes the tables: slice s of byte b is the crc of b followed by s zero bytes. */
export function crc32cInit(table: usize): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    store<u32>(table + (<usize>byte << 2), crc);
  }
  for (let word: u32 = 256; word < 4096; word++) {
    const crc = load<u32>(table + (<usize>(word - 256) << 2));
    store<u32>(table + (<usize>word << 2), (crc >> 8) ^ entry(table, 0, crc & 0xff));
  }
}

// @ts-ignore: decorator
@inline
function four(table: usize, slice: usize, word: u32): u32 {
  return (
    entry(table, slice + 3, word & 0xff) ^
    entry(table, slice + 2, (word >> 8) & 0xff) ^
    entry(table, slice + 1, (word >> 16) & 0xff) ^
    entry(table, slice, word >> 24)
  );
}

// @ts-ignore: decorator
@inline
function sixteen(table: usize, position: usize, crc: u32): u32 {
  return (
    four(table, 12, load<u32>(position) ^ crc) ^
    four(table, 8, load<u32>(position, 4)) ^
    four(table, 4, load<u32>(position, 8)) ^
    four(table, 0, load<u32>(position, 12))
  );
}

export function crc32c(table: usize, pointer: usize, length: u32, seed: u32): i32 {
  let crc = ~seed;
  let position = pointer;
  let left = length;
  for (; left >= 16; left -= 16, position += 16) crc = sixteen(table, position, crc);
  for (; left != 0; left--, position++) {
    crc = (crc >> 8) ^ entry(table, 0, (crc ^ load<u8>(position)) & 0xff);
  }
  return ~crc;
}
