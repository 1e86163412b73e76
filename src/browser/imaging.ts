/**
 * Writes a collection's image from a page. It stands still: no write is under way and nothing is
 * being linked, so the imager that a server uses has nothing to wait for.
 */
import type { Collection } from "../collections/collection.ts";
import { partsBeside } from "../collections/imaged.ts";
import { type Sitter, takeImage } from "../imaging/imager.ts";
import type { Files, OpenFile } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";

/** `onShare` hears how much of it is written, 0 to 1. */
export async function writeInto(
  file: OpenFile,
  collection: Collection,
  crc32c: Crc32c,
  onShare: (share: number) => void,
): Promise<void> {
  const { name, settings, memories } = collection;
  const { shards } = memories;
  const sitter: Sitter = {
    turn: async () => shards,
    hold: async () => undefined,
    stop: async () => ({
      sequence: collection.sequence,
      shards,
      title: { name, settings, createdAt: new Date().toISOString() },
      parts: partsBeside(collection),
      vectors: collection.live,
    }),
    go: () => undefined,
  };
  await takeImage(filesOver(file), file.path, sitter, crc32c, onShare);
}

/** The one file there is; it takes its name by itself when it is closed. */
function filesOver(file: OpenFile): Files {
  const nothing = async () => undefined;
  return {
    open: async () => file,
    ...{ rename: nothing, remove: nothing, makeFolder: nothing },
    ...{ removeFolder: nothing, syncFolder: nothing },
    list: async () => [],
    lock: async () => ({ release: nothing }),
  };
}
