/** Checksums for commands that read files without a database. */
import { Desk } from "../engine/desk.ts";
import type { Crc32c } from "../storage/frame.ts";
import { loadEngine } from "../threads/engineFiles.ts";

export function loadSums(): Crc32c {
  const desk = new Desk(loadEngine().desk);
  return (bytes, seed) => desk.crc32c(bytes, seed);
}
