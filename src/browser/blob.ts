/** An image in a Blob: bytes that a page was given or has kept. */
import type { ByteSource } from "../storage/image.ts";

/** A Blob's parts come from another process: few large ones come several times as fast. */
const BLOB_RUN_BYTES = 16 * 1024 * 1024;

export function blobSource(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: blob.size,
    runBytes: BLOB_RUN_BYTES,
    async read(offset, target) {
      const part = await blob.slice(offset, offset + target.length).arrayBuffer();
      target.set(new Uint8Array(part));
      return part.byteLength;
    },
  };
}
