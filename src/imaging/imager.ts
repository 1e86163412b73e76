/**
 * Takes an image of a collection while writes and searches go on.
 *
 *   1. The writer turns to a clean map of changes. What linkers do not touch (vectors, codes, ids,
 *      metadata) is copied while everything goes on.
 *   2. Linkers are held; writes go on, into the tail. The graph is copied.
 *   3. What the writer has changed meanwhile is copied again, a map of changes at a time, until
 *      little is left.
 *   4. The writer stands still between two frames. The last changes are copied, in memory, with
 *      the headers and the tail. Then everything goes on.
 *   5. What was kept in memory goes to the file, chunks that were changed in parts are summed, the
 *      head is written, and the file takes its name.
 *
 * Nothing is judged by its bytes: which parts are copied again is known from the maps alone, so an
 * image is exactly the collection as the writer left it in step 4.
 */
import type { ShardMemories } from "../collections/collection.ts";
import { imagedMemories, type NamedMemory } from "../collections/imaged.ts";
import type { State } from "../collections/state.ts";
import type { Imaged, Part } from "../engine/imaged.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import { chunkCount, SECTIONS_MAX } from "../storage/head.ts";
import { replaceImage } from "../storage/imaging.ts";
import { Portrait } from "./portrait.ts";

/** The collection as it stands still. */
export interface Standing {
  readonly sequence: number;
  readonly shards: readonly ShardMemories[];
  /** For the image's head. */
  readonly title: Record<string, unknown>;
  /** What lies beside the shards. */
  readonly parts: readonly Part[];
  readonly vectors: number;
}

/** Keeps linkers from a collection; resolves when none is at work. */
export async function holdLinkers(state: State): Promise<void> {
  state.hold();
  while (!state.isStill) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** What an imager asks of the threads that change the collection. */
export interface Sitter {
  /** The writer marks changes in the other map from here on; answers the shards there are. */
  turn(): Promise<readonly ShardMemories[]>;
  /** Resolves when no linker is at work and none will be. */
  hold(): Promise<void>;
  /** Resolves when the writer stands still between two frames. */
  stop(): Promise<Standing>;
  /** The writer and the linkers go on. */
  go(): void;
}

export interface Taken {
  readonly sequence: number;
  readonly vectors: number;
  /** Of memory that was copied at first. */
  readonly bytes: number;
  /** How much was copied while the writer stood still. */
  readonly stillBytes: number;
}

/** With less than this left, the writer is stopped for it. */
const STILL_BYTES = 2 * 1024 * 1024;
const PASSES_MAX = 8;
/** The collection may grow so much, and by half, while its image is taken. */
const GROWTH_BYTES = 256 * 1024 * 1024;
const HEAD_ROOM = { settingsBytes: 128 * 1024, sections: 512 };
/** Of a shard, those that regions go on in counted. */
const SECTIONS_EACH = 32;

/** Throws STORAGE_FULL, READ_ONLY; everything goes on whatever happens. */
export async function takeImage(
  files: Files,
  path: string,
  sitter: Sitter,
  crc32c: Crc32c,
  onProgress: (progress: number) => void = () => undefined,
): Promise<Taken> {
  let taken: Taken | undefined;
  try {
    const shards = await sitter.turn();
    const first = imagedMemories(shards);
    const bytes = first.reduce((sum, { memory }) => sum + bytesOf(memory), 0);
    const chunks = chunkCount(bytes * 1.5 + GROWTH_BYTES);
    const sections = Math.min(SECTIONS_MAX, HEAD_ROOM.sections + SECTIONS_EACH * shards.length);
    await replaceImage(files, path, { ...HEAD_ROOM, sections, chunks }, crc32c, async (draft) => {
      const portrait = new Portrait(draft, (done) => onProgress(Math.min(1, done / (bytes + 1))));
      const standing = await copy(portrait, first, sitter);
      const stillBytes = await portrait.finish();
      const { sequence, vectors, title } = standing;
      taken = { sequence, vectors, bytes, stillBytes };
      return { sequence, settings: { ...title, vectors, shards: standing.shards.length } };
    });
  } finally {
    sitter.go();
  }
  return taken!;
}

async function copy(
  portrait: Portrait,
  first: readonly NamedMemory[],
  sitter: Sitter,
): Promise<Standing> {
  portrait.meet(first);
  await portrait.copyWhole(false);
  await sitter.hold();
  await portrait.copyWhole(true);
  let before = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    portrait.meet(imagedMemories(await sitter.turn()));
    const bytes = await portrait.copyChanges();
    // Where writes come as fast as they are copied, one more pass would gain nothing.
    if (bytes < STILL_BYTES || bytes > before * 0.9) break;
    before = bytes;
  }
  const standing = await sitter.stop();
  portrait.meet(imagedMemories(standing.shards));
  portrait.keepChanges(standing.parts);
  sitter.go();
  return standing;
}

function bytesOf(memory: Imaged): number {
  return memory.regions().reduce((sum, { bytes }) => sum + bytes, 0);
}
