/**
 * A body that has been read: its value with handles in place of vectors and metadata, and what the
 * handles stand for. The views it gives lie in a sheet of the desk and hold until `release`; after
 * that the sheet is another body's, so a late call throws rather than read someone else's bytes.
 */
import {
  METADATA_BYTES,
  METADATA_END,
  METADATA_START,
  SCAN_METADATA_COUNT,
  SCAN_VECTOR_COUNT,
  VECTOR_BYTES,
  VECTOR_COUNT,
  VECTOR_FAULT,
  VECTOR_FAULT_INDEX,
  VECTOR_FLOATS,
  VECTOR_KEY,
  VECTOR_ROW,
  VECTOR_SOUND,
} from "../../assembly/desk.ts";
import { OmenError } from "../errors.ts";
import { escapeStep, nameAt, vectorFault } from "./faults.ts";
import type { LineFault } from "./lines.ts";
import type { Sheet } from "./sheet.ts";

export interface ScannedVector {
  /** `count` components, aligned to 16 bytes. */
  readonly values: Float32Array<ArrayBuffer>;
  readonly count: number;
}

export class ScannedBody {
  /**
   * The body as JSON.parse would give it, with a whole number in place of each vector and metadata.
   */
  readonly value: unknown;
  #sheet: Sheet | undefined;
  readonly #giveBack: (sheet: Sheet) => void;

  constructor(value: unknown, sheet: Sheet, giveBack: (sheet: Sheet) => void) {
    this.value = value;
    this.#sheet = sheet;
    this.#giveBack = giveBack;
  }

  /** Throws INVALID_VECTOR, naming the first component that cannot be stored. */
  vector(handle: number): ScannedVector {
    const sheet = this.#lying();
    const entry = this.#entry(sheet, handle);
    const { words } = sheet;
    const fault = words[entry + (VECTOR_FAULT >>> 2)]!;
    if (fault !== VECTOR_SOUND) {
      throw vectorFault(fault, pointerOf(sheet, entry), words[entry + (VECTOR_FAULT_INDEX >>> 2)]!);
    }
    const count = words[entry + (VECTOR_COUNT >>> 2)]!;
    const start = words[entry + (VECTOR_FLOATS >>> 2)]! >>> 2;
    return { values: sheet.floats.subarray(start, start + count), count };
  }

  /**
   * The vectors of `handles` row after row, `dimensions` components each: a view where they lie so
   * in the sheet (dimensions a multiple of 4, handles in the body's order), else a copy. Throws
   * INVALID_VECTOR, and DIMENSION_MISMATCH naming the first vector of another length.
   */
  matrix(handles: readonly number[], dimensions: number): Float32Array<ArrayBuffer> {
    const sheet = this.#lying();
    const first = handles.length === 0 ? 0 : this.vector(handles[0]!).values.byteOffset;
    let isView = true;
    for (let row = 0; row < handles.length; row++) {
      const { values, count } = this.vector(handles[row]!);
      if (count !== dimensions) throw this.#mismatch(sheet, handles[row]!, dimensions, count);
      isView &&= values.byteOffset === first + row * dimensions * 4;
    }
    if (isView)
      return sheet.floats.subarray(first >>> 2, (first >>> 2) + handles.length * dimensions);
    const copy = new Float32Array(handles.length * dimensions);
    for (let row = 0; row < handles.length; row++) {
      copy.set(this.vector(handles[row]!).values, row * dimensions);
    }
    return copy;
  }

  /** The bytes of a metadata object as they were sent. */
  metadata(handle: number): Uint8Array<ArrayBuffer> {
    const sheet = this.#lying();
    if (!(handle < sheet.get(SCAN_METADATA_COUNT))) throw noSuch("metadata", handle);
    const entry = (sheet.areas.metadata + handle * METADATA_BYTES) >>> 2;
    const start = sheet.words[entry + (METADATA_START >>> 2)]!;
    return sheet.bytes.subarray(start, sheet.words[entry + (METADATA_END >>> 2)]!);
  }

  /** Gives the sheet back. Views taken before are void now. May be called again. */
  release(): void {
    const sheet = this.#sheet;
    this.#sheet = undefined;
    if (sheet !== undefined) this.#giveBack(sheet);
  }

  #lying(): Sheet {
    if (this.#sheet === undefined) throw new OmenError("ENGINE_FAULT", "the body was released");
    return this.#sheet;
  }

  #entry(sheet: Sheet, handle: number): number {
    if (!(handle < sheet.get(SCAN_VECTOR_COUNT))) throw noSuch("vector", handle);
    return (sheet.areas.vectors + handle * VECTOR_BYTES) >>> 2;
  }

  #mismatch(sheet: Sheet, handle: number, dimensions: number, count: number): OmenError {
    const pointer = pointerOf(sheet, this.#entry(sheet, handle));
    const message = `expected ${dimensions} dimensions, got ${count}`;
    return new OmenError("DIMENSION_MISMATCH", `${pointer}: ${message}`, {
      errors: [{ pointer, message }],
    });
  }
}

/** Lines of NDJSON that have been read: `value` has an element for each. */
export class ScannedLines extends ScannedBody {
  declare readonly value: readonly unknown[];
  /** The number of each element's line, counted from 1 at the body's beginning. */
  readonly lines: readonly number[];
  /** The last line that was looked at, a blank one or the one at fault too. */
  readonly linesEnd: number;
  readonly fault?: LineFault;

  constructor(
    rows: readonly unknown[],
    sheet: Sheet,
    giveBack: (sheet: Sheet) => void,
    about: Pick<ScannedLines, "lines" | "linesEnd" | "fault">,
  ) {
    super(rows, sheet, giveBack);
    this.lines = about.lines;
    this.linesEnd = about.linesEnd;
    this.fault = about.fault;
  }
}

const noSuch = (kind: string, handle: number) =>
  new OmenError("ENGINE_FAULT", `the body has no ${kind} of handle ${handle}`);

/** Of a vector: `/vector`, or `/vectors/17/vector`. */
function pointerOf(sheet: Sheet, entry: number): string {
  const row = sheet.words[entry + (VECTOR_ROW >>> 2)]! | 0;
  if (row < 0) return "/vector";
  const key = nameAt(sheet, sheet.words[entry + (VECTOR_KEY >>> 2)]!);
  return `/${escapeStep(key)}/${row}/vector`;
}
