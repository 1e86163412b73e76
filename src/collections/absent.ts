/**
 * Float32 rows that were left where their image came from (a page's `vectors: "ranges"`).
 *
 * A walk goes by codes, and only at its end float32 decides among a few candidates. So a search is
 * made without them first; then it is known which rows it wanted to measure. Those come, by the
 * image's chunks and each with its checksum, and the same search is made again, until it has had
 * all that it read. Its answer is then the one that it would have given over the whole.
 */
import * as L from "../../assembly/layout.ts";
import { address } from "../engine/exports.ts";
import { nameFault } from "../engine/graphFault.ts";
import { measuredSlots } from "../engine/measured.ts";
import { shardPrefix } from "./imaged.ts";
import type { OpenedImage } from "./loading.ts";
import type { Matched } from "./matching.ts";
import type { Part } from "./searchable.ts";

/** Rows brought before a search is made again: beyond its k, where it seldom reads on. */
const ROWS_BEYOND = 8;
/** Chunks under way at the same time. */
const CHUNKS_AT_ONCE = 8;

const encoder = new TextEncoder();

/** A section of a shard's vectors, and which of its chunks are here or on their way. */
interface Piece {
  readonly name: string;
  /** Where it lies among the shard's vectors, in bytes. */
  readonly from: number;
  readonly bytes: number;
  readonly chunks: (Promise<void> | undefined)[];
  readonly isHere: boolean[];
}

export class Absent {
  readonly #shards: readonly AbsentShard[];

  constructor(image: OpenedImage, parts: readonly Part[]) {
    this.#shards = parts.map((part, index) => new AbsentShard(image, part, index));
  }

  /**
   * What the last search of each shard read and did not have. True when something came: what was
   * found is void, and the search is to be made again. Throws what the image's source throws.
   */
  async bring(parts: readonly Part[], k: number): Promise<boolean> {
    const brought = await Promise.all(
      this.#of(parts).map((shard) => shard.bringMeasured(k + ROWS_BEYOND)),
    );
    return brought.includes(true);
  }

  /** The rows that pass, all of them without bits. */
  async bringAll(matched?: Matched): Promise<void> {
    for (const [index, shard] of this.#shards.entries()) {
      if (matched === undefined) await shard.bringAll();
      else await shard.bringPassing(matched.bitmaps[index]!.bytes, matched.counts[index]!);
    }
  }

  /** The rows of these ids, as far as there are any. */
  async bringRows(ids: readonly string[]): Promise<void> {
    const encoded = ids.map((id) => encoder.encode(id));
    await Promise.all(this.#shards.map((shard) => shard.bringRows(encoded)));
  }

  #of(parts: readonly Part[]): AbsentShard[] {
    return this.#shards.filter(({ part }) => parts.includes(part));
  }
}

class AbsentShard {
  readonly part: Part;
  readonly #image: OpenedImage;
  readonly #pieces: readonly Piece[];
  readonly #bytes: Uint8Array;
  readonly #base: number;
  readonly #stride: number;

  constructor(image: OpenedImage, part: Part, index: number) {
    this.part = part;
    this.#image = image;
    this.#pieces = piecesOf(image, `${shardPrefix(index)}vectors`);
    const { buffer } = part.shard.memory;
    const words = new Uint32Array(buffer);
    this.#base = words[L.HEADER_VECTORS_BASE >>> 2]!;
    this.#stride = words[L.HEADER_VECTOR_STRIDE >>> 2]!;
    this.#bytes = new Uint8Array(buffer);
    const stated = this.#pieces.reduce((sum, { bytes }) => sum + bytes, 0);
    const wanted = part.shard.slotsUsed * this.#stride;
    if (stated === wanted) return;
    const message = `the region has ${wanted} bytes, the file ${stated}`;
    throw image.damage(`${shardPrefix(index)}vectors`, message);
  }

  async bringMeasured(rowsMax: number): Promise<boolean> {
    const slots = measuredSlots(this.part.shard);
    if (slots !== undefined) return await this.#bring(slots, rowsMax);
    // The walk went by float32 itself, so all of it has to be here.
    return await this.bringAll();
  }

  async bringPassing(bits: Uint8Array, count: number): Promise<void> {
    const used = this.part.shard.slotsUsed;
    const isPassing = (slot: number) => ((bits[slot >>> 3]! >>> (slot & 7)) & 1) === 1;
    const slots: number[] = [];
    for (let slot = 0; slot < used && count > 0; slot++) if (isPassing(slot)) slots.push(slot);
    await this.#bring(slots);
  }

  async bringRows(ids: readonly Uint8Array[]): Promise<void> {
    const { rows } = this.part;
    const positions = ids.map((id) => rows.find(id, 0, id.length, rows.hash(id)));
    const found = positions.filter((position) => position >= 0);
    const slots = found.map((position) => rows.slotAt(position));
    await this.#bring(slots.filter((slot) => slot !== L.NO_SLOT));
  }

  async bringAll(): Promise<boolean> {
    const all = this.#pieces.flatMap((piece) => piece.isHere.map((_, chunk) => ({ piece, chunk })));
    return await this.#take(all);
  }

  /** The chunks under the first `rowsMax` of the slots that are not here. */
  async #bring(slots: readonly number[], rowsMax = Number.POSITIVE_INFINITY): Promise<boolean> {
    const wanted = new Map<string, Place>();
    let rows = 0;
    for (const slot of slots) {
      const missing = this.#placesOf(slot).filter(({ piece, chunk }) => !piece.isHere[chunk]);
      if (missing.length === 0) continue;
      for (const place of missing) wanted.set(`${place.piece.name}/${place.chunk}`, place);
      if (++rows >= rowsMax) break;
    }
    return await this.#take([...wanted.values()]);
  }

  /** Where a row lies: in one chunk, or across an edge in two. */
  #placesOf(slot: number): Place[] {
    const { chunkBytes } = this.#image;
    const places: Place[] = [];
    const end = (slot + 1) * this.#stride;
    for (const piece of this.#pieces) {
      const from = Math.max(slot * this.#stride, piece.from) - piece.from;
      const to = Math.min(end, piece.from + piece.bytes) - piece.from;
      if (from >= to) continue;
      const last = Math.floor((to - 1) / chunkBytes);
      for (let chunk = Math.floor(from / chunkBytes); chunk <= last; chunk++) {
        places.push({ piece, chunk });
      }
    }
    return places;
  }

  /** True when any of them was not here. */
  async #take(places: readonly Place[]): Promise<boolean> {
    const missing = places.filter(({ piece, chunk }) => !piece.isHere[chunk]);
    let next = 0;
    const taker = async () => {
      while (next < missing.length) {
        const { piece, chunk } = missing[next++]!;
        // Another search may have asked for it a moment ago.
        piece.chunks[chunk] ??= this.#load(piece, chunk).finally(() => {
          piece.chunks[chunk] = undefined;
        });
        await piece.chunks[chunk];
      }
    };
    await Promise.all(Array.from({ length: CHUNKS_AT_ONCE }, taker));
    return missing.length > 0;
  }

  async #load(piece: Piece, chunk: number): Promise<void> {
    const { chunkBytes } = this.#image;
    const start = chunk * chunkBytes;
    const at = this.#base + piece.from + start;
    const bytes = Math.min(chunkBytes, piece.bytes - start);
    await this.#image.loadChunk(piece.name, chunk, this.#bytes.subarray(at, at + bytes));
    const sound = address(this.part.shard.engine.soundBytes(at, bytes));
    if (sound < bytes) {
      const slot = Math.floor((piece.from + start + sound) / this.#stride);
      throw this.#image.damage(piece.name, `${nameFault(L.FAULT_COMPONENT)} (slot ${slot})`);
    }
    piece.isHere[chunk] = true;
  }
}

interface Place {
  readonly piece: Piece;
  readonly chunk: number;
}

/** A region that grew while it was copied lies in several sections. */
function piecesOf(image: OpenedImage, name: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (let part = name; ; part = `${name}.${pieces.length}`) {
    const bytes = image.lengthOf(part);
    if (bytes === undefined) return pieces;
    const count = Math.ceil(bytes / image.chunkBytes);
    pieces.push({ name: part, from, bytes, chunks: [], isHere: new Array(count).fill(false) });
    from += bytes;
  }
}
