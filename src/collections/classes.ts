/** Size classes of the row store's heap: multiples of 8 up to 512, then four steps a doubling. */
const SMALL_MAX = 512;
const SMALL_CLASSES = SMALL_MAX / 8;

/** The least class that holds so many bytes. */
export function classOf(length: number): number {
  if (length <= SMALL_MAX) return Math.ceil(length / 8) - 1;
  const power = 31 - Math.clz32(length - 1);
  const step = 2 ** (power - 2);
  return SMALL_CLASSES + (power - 9) * 4 + Math.ceil((length - 2 ** power) / step) - 1;
}

export function classBytes(size: number): number {
  if (size < SMALL_CLASSES) return (size + 1) * 8;
  const power = 9 + Math.floor((size - SMALL_CLASSES) / 4);
  return 2 ** power + (((size - SMALL_CLASSES) % 4) + 1) * 2 ** (power - 2);
}
