/**
 * Compressed bodies, inflated as they come. What comes out is judged by the limits of bodies, piece
 * by piece, so a bomb is refused as soon as it passes them; what a decoder may hold on to is
 * bounded here.
 */
import type { Transform } from "node:stream";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from "node:zlib";
import type { Encoding } from "./media.ts";

const PIECE_BYTES = 64 * 1024;
/** A window of 8 MiB, as RFC 9659 asks of zstd in HTTP. */
const ZSTD_WINDOW_LOG_MAX = 23;

const DECODERS: Readonly<Record<Encoding, () => Transform>> = {
  gzip: () => createGunzip({ chunkSize: PIECE_BYTES }),
  deflate: () => createInflate({ chunkSize: PIECE_BYTES }),
  br: () => createBrotliDecompress({ chunkSize: PIECE_BYTES }),
  zstd: () =>
    createZstdDecompress({
      chunkSize: PIECE_BYTES,
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
    }),
};

export function createInflater(encoding: Encoding): Transform {
  return DECODERS[encoding]();
}
