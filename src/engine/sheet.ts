/**
 * A sheet is one memory of the desk with an instance of the engine over it: one body lies on it at
 * a time, from its first byte to the release of what was read. Beyond DESK_AREAS it holds, for a
 * body of n bytes, one area after the other, each large enough for the worst body of that length:
 *
 *   size                  | area      | meaning
 *   n + 64                | source    | the body, then zeros
 *   2n + 64, or 16 MiB    | skeleton  | see assembly/json.ts
 *   skeleton / 65,536 x 4 | cuts      | where the skeleton may be parsed in pieces
 *   n/14 x 24             | vectors   | the shortest vector with its row is {"vector":[]},
 *   n/16 x 8              | metadata  | and {"metadata":{}},
 *   (n/4 .. n/2) x 8      | table     | the names of large objects; the shortest are about 6 bytes
 *   2n + n/14 x 16 + 64   | floats    | 2 bytes a component at least; each vector at 16
 *
 * That is about 12n of address space, of which only what is written becomes resident.
 */
import {
  CUT_BYTES,
  CUT_DISTANCE_BYTES,
  DESK_AREAS,
  DESK_SCAN,
  METADATA_BYTES,
  SCAN_CUTS,
  SCAN_END,
  SCAN_FAULT_CODE,
  SCAN_FLOATS,
  SCAN_HASH_MULTIPLIER,
  SCAN_HASH_SEED,
  SCAN_METADATA,
  SCAN_POSITION,
  SCAN_SKELETON,
  SCAN_SKELETON_END,
  SCAN_TABLE,
  SCAN_TABLE_CLEAN,
  SCAN_TABLE_MASK,
  SCAN_VECTORS,
  SKELETON_BYTES_MAX,
  SKELETON_PADDING_BYTES,
  SOURCE_PADDING_BYTES,
  TABLE_SLOT_BYTES,
  VECTOR_BYTES,
} from "../../assembly/desk.ts";
import { OmenError } from "../errors.ts";
import { writePowers } from "./powers.ts";

/** What the desk needs of the engine's exports. */
export interface DeskExports {
  /**
   * Reads on for about so many bytes; returns SCAN_MORE, SCAN_DONE, SCAN_FAULT or SCAN_ODDITIES.
   */
  jsonStep(state: number, budgetBytes: number): number;
  /** Begins a value of its own; the byte at `end` must be zero. */
  jsonLine(state: number, start: number, end: number, isMuted: number): void;
  /** Writes CRC_TABLE_BYTES of tables. */
  crc32cInit(table: number): void;
  /** The crc as a signed i32; a crc given as seed is continued. */
  crc32c(table: number, pointer: number, length: number, seed: number): number;
}

const PAGE_BYTES = 65536;
/** What the module asks for at least, and at most. */
export const SHEET_PAGES_MIN = 16;
const PAGES_MAX = 65536;

/** Addresses of the areas for one body. */
export interface Areas {
  /** The longest body that fits. */
  readonly bodyBytes: number;
  readonly source: number;
  readonly skeleton: number;
  readonly skeletonEnd: number;
  readonly cuts: number;
  readonly vectors: number;
  readonly metadata: number;
  readonly table: number;
  readonly tableMask: number;
  readonly floats: number;
  readonly end: number;
}

const aligned = (address: number) => Math.ceil(address / 64) * 64;

export function layOut(bodyBytes: number): Areas {
  const source = DESK_AREAS;
  const skeleton = aligned(source + bodyBytes + SOURCE_PADDING_BYTES);
  const skeletonEnd = skeleton + Math.min(2 * bodyBytes, SKELETON_BYTES_MAX);
  const cuts = aligned(skeletonEnd + SKELETON_PADDING_BYTES);
  const cutsMax = Math.ceil((skeletonEnd - skeleton) / CUT_DISTANCE_BYTES) + 2;
  const vectors = aligned(cuts + cutsMax * CUT_BYTES);
  const vectorsMax = Math.ceil(bodyBytes / 14) + 2;
  const metadata = aligned(vectors + vectorsMax * VECTOR_BYTES);
  const metadataMax = Math.ceil(bodyBytes / 16) + 2;
  const table = aligned(metadata + metadataMax * METADATA_BYTES);
  const slots = 2 ** Math.ceil(Math.log2(bodyBytes / 4 + 16));
  const floats = aligned(table + slots * TABLE_SLOT_BYTES);
  const end = floats + 2 * bodyBytes + vectorsMax * 16 + 64;
  const tableMask = slots - 1;
  return {
    ...{ bodyBytes, source, skeleton, skeletonEnd, cuts, vectors },
    ...{ metadata, table, tableMask, floats, end },
  };
}

const EMPTY = layOut(0);

export class Sheet {
  readonly engine: DeskExports;
  readonly #memory: WebAssembly.Memory;
  #areas: Areas = EMPTY;
  /** Views of the whole memory, made anew when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  words: Uint32Array<ArrayBuffer>;
  floats: Float32Array<ArrayBuffer>;
  /** Memory that no body has touched is all zero, and so is the table in it. */
  #isFresh = true;

  constructor(module: WebAssembly.Module, pages = SHEET_PAGES_MIN) {
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: PAGES_MAX });
    const instance = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
    this.engine = instance.exports as unknown as DeskExports;
    writePowers(this.#memory);
    const buffer = this.#memory.buffer as ArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.floats = new Float32Array(buffer);
  }

  get areas(): Areas {
    return this.#areas;
  }

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  /**
   * Makes room for a body and sets the scanner to its first byte. The seeds must not be guessable.
   */
  begin(bodyBytes: number, areas: Areas, hashSeed: number, hashMultiplier: number): void {
    this.#areas = areas;
    if (areas.end > this.byteLength) this.#grow(areas.end - this.byteLength);
    const end = areas.source + bodyBytes;
    this.bytes.fill(0, end, end + SOURCE_PADDING_BYTES);
    this.words.fill(0, DESK_SCAN >>> 2, (DESK_SCAN + 256) >>> 2);
    this.#set(SCAN_POSITION, areas.source);
    this.#set(SCAN_END, end);
    this.#set(SCAN_SKELETON, areas.skeleton);
    this.#set(SCAN_SKELETON_END, areas.skeletonEnd);
    this.#set(SCAN_FLOATS, areas.floats);
    this.#set(SCAN_VECTORS, areas.vectors);
    this.#set(SCAN_METADATA, areas.metadata);
    this.#set(SCAN_TABLE, areas.table);
    this.#set(SCAN_TABLE_MASK, areas.tableMask);
    this.#set(SCAN_TABLE_CLEAN, this.#isFresh ? 1 : 0);
    this.#set(SCAN_HASH_SEED, hashSeed);
    this.#set(SCAN_HASH_MULTIPLIER, hashMultiplier);
    this.words[areas.cuts >>> 2] = areas.skeleton;
    this.#set(SCAN_CUTS, areas.cuts + CUT_BYTES);
    this.#isFresh = false;
  }

  step(budgetBytes: number): number {
    return this.engine.jsonStep(DESK_SCAN, budgetBytes);
  }

  /** Sets the scanner to the line from `start` to `end`; what was read before stays. */
  beginLine(start: number, end: number): void {
    this.bytes[end] = 0;
    this.engine.jsonLine(DESK_SCAN, start, end, 0);
  }

  /** The same for a text that is only to be judged. */
  beginText(start: number, end: number): void {
    this.engine.jsonLine(DESK_SCAN, start, end, 1);
  }

  /** Takes back what the line at fault has left in the skeleton. */
  cutSkeleton(end: number): void {
    this.#set(SCAN_SKELETON, end);
  }

  /** A field of the scanner's state, SCAN_*. */
  get(field: number): number {
    return this.words[(DESK_SCAN + field) >>> 2]!;
  }

  /** The state's fields after the last step, once nothing is to be read any more. */
  get faultCode(): number {
    return this.get(SCAN_FAULT_CODE);
  }

  clear(field: number): void {
    this.#set(field, 0);
  }

  #set(field: number, value: number): void {
    this.words[(DESK_SCAN + field) >>> 2] = value;
  }

  #grow(bytes: number): void {
    try {
      this.#memory.grow(Math.ceil(bytes / PAGE_BYTES));
    } catch (cause) {
      throw new OmenError("OVERLOADED", "there is no memory to read the body", {
        cause,
      });
    }
    const buffer = this.#memory.buffer as ArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.floats = new Float32Array(buffer);
  }
}
