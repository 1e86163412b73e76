/**
 * The desk of a thread: where request bodies become values, and where checksums are made.
 *
 * A body's chunks stay where the socket left them until the last has come, and are copied once,
 * onto a sheet (sheet.ts) of its own. So a slow sender holds no sheet, a body in slices and another
 * in between do not meet, and what was read may be used in place, across awaits, until it is
 * released. Sheets are reused, the last one first, so that in the steady state one warm sheet of a
 * megabyte serves them all; one that grew for a large body is dropped. When all are out, bodies
 * wait in line.
 *
 * The work is done in slices: after SLICE_MS the caller's `pause` is awaited, which should let the
 * event loop turn once. Copying, scanning and parsing the skeleton all go in such slices.
 */
import { CRC_TABLE_BYTES, DESK_AREAS, SCAN_SKELETON } from "../../assembly/desk.ts";
import { OmenError } from "../errors.ts";
import { judge, type LineFault, nextLine, type TextFault, tooLong } from "./lines.ts";
import { Pace, type Pause } from "./pace.ts";
import { isRead } from "./reading.ts";
import { ScannedBody, ScannedLines } from "./scanned.ts";
import { type Areas, layOut, SHEET_PAGES_MIN, Sheet } from "./sheet.ts";
import { isCut, parseLines, parsePieces, parseWhole } from "./skeleton.ts";

export type { Pause } from "./pace.ts";
export { ScannedBody, ScannedLines, type ScannedVector } from "./scanned.ts";
export type { DeskExports } from "./sheet.ts";

const COPY_BYTES = 1024 * 1024;
const PAGE_BYTES = 65_536;
const LAYOUT_BYTES = 4096;
/** Sheets in use at once in one thread; a body beyond that waits. */
const SHEETS_MAX = 16;
/** Sheets kept for the next body, and how far one may have grown (a body of about 2.5 MB). */
const SHEETS_KEPT = 4;
const SHEET_BYTES_KEPT = 32 * 1024 * 1024;
/** Below what one memory can be laid out for, a good deal. */
export const DESK_BODY_BYTES_MAX = 256 * 1024 * 1024;

export class Desk {
  readonly #module: WebAssembly.Module;
  readonly #free: Sheet[] = [];
  readonly #waiting: ((sheet: Sheet | undefined) => void)[] = [];
  readonly #giveBack = (sheet: Sheet) => this.#give(sheet);
  /** Under which member names are hashed; who sends them must not foresee it. */
  readonly #secret = crypto.getRandomValues(new Uint32Array(2));
  #areas = layOut(0);
  #out = 0;
  #sums: Sheet | undefined;

  /** The module is a build for unshared memory. */
  constructor(module: WebAssembly.Module) {
    this.#module = module;
  }

  /** CRC-32C of the bytes; `seed` is the crc of what came before them. */
  crc32c(bytes: Uint8Array, seed = 0): number {
    const sheet = (this.#sums ??= this.#openSums());
    const window = DESK_AREAS + CRC_TABLE_BYTES;
    const windowBytes = sheet.byteLength - window;
    let crc = seed;
    for (let start = 0; start < bytes.length; start += windowBytes) {
      const part = bytes.subarray(start, start + windowBytes);
      sheet.bytes.set(part, window);
      crc = sheet.engine.crc32c(DESK_AREAS, window, part.length, crc);
    }
    return crc >>> 0;
  }

  /**
   * Reads a whole body, given in chunks. The array is emptied as they are copied. Throws the
   * OmenError that says what is wrong with it: INVALID_JSON, INVALID_METADATA, BODY_TOO_LARGE. What
   * it resolves to must be released.
   */
  async scan(chunks: Uint8Array[], pause: Pause): Promise<ScannedBody> {
    return this.#read(chunks, pause, async (sheet, pace) => {
      const { source } = sheet.areas;
      while (!isRead(sheet, source)) if (pace.isDue()) await pace.rest();
      const value = isCut(sheet) ? await parsePieces(sheet, pace) : parseWhole(sheet);
      return new ScannedBody(value, sheet, this.#giveBack);
    });
  }

  /**
   * Reads whole lines of NDJSON, `linesBefore` lines into their body. Lines of white space are
   * passed over. The first line that cannot be read ends it: it is `fault`, and the lines before it
   * are given. What it resolves to must be released.
   */
  async scanLines(
    chunks: Uint8Array[],
    linesBefore: number,
    lineBytesMax: number,
    pause: Pause,
  ): Promise<ScannedLines> {
    return this.#read(chunks, pause, async (sheet, pace, bodyBytes) => {
      const lines: number[] = [];
      let fault: LineFault | undefined;
      let line = linesBefore;
      let skeleton = sheet.get(SCAN_SKELETON);
      const end = sheet.areas.source + bodyBytes;
      for (let start = sheet.areas.source; start < end && fault === undefined; ) {
        line++;
        const { stop, isBlank } = nextLine(sheet.bytes, start, end);
        if (stop - start > lineBytesMax) fault = { line, error: tooLong(lineBytesMax) };
        else if (!isBlank) {
          sheet.beginLine(start, stop);
          try {
            while (!isRead(sheet, start)) if (pace.isDue()) await pace.rest();
            lines.push(line);
            skeleton = sheet.get(SCAN_SKELETON);
          } catch (error) {
            fault = { line, error: error as OmenError };
          }
        }
        start = stop + 1;
        if (pace.isDue()) await pace.rest();
      }
      sheet.cutSkeleton(skeleton);
      const rows = parseLines(sheet);
      return new ScannedLines(rows, sheet, this.#giveBack, { lines, linesEnd: line, fault });
    });
  }

  /**
   * Judges texts as metadata, without reading them. Resolves with the first that is wrong, by its
   * place in the list.
   */
  async judgeTexts(texts: Uint8Array[], pause: Pause): Promise<TextFault | undefined> {
    const ends = new Uint8Array(1);
    const chunks = texts.flatMap((text) => [text, ends]);
    return this.#read(chunks, pause, async (sheet, pace) => {
      let fault: TextFault | undefined;
      let start = sheet.areas.source;
      for (let index = 0; index < texts.length && fault === undefined; index++) {
        const end = start + texts[index]!.length;
        const error = judge(sheet, start, end);
        if (error !== undefined) fault = { index, error };
        start = end + 1;
        if (pace.isDue()) await pace.rest();
      }
      this.#give(sheet);
      return fault;
    });
  }

  async #read<Read>(
    chunks: Uint8Array[],
    pause: Pause,
    use: (sheet: Sheet, pace: Pace, bodyBytes: number) => Promise<Read>,
  ): Promise<Read> {
    let bodyBytes = 0;
    for (const chunk of chunks) bodyBytes += chunk.length;
    if (bodyBytes > DESK_BODY_BYTES_MAX) {
      throw new OmenError("BODY_TOO_LARGE", `no body may pass ${DESK_BODY_BYTES_MAX} bytes`);
    }
    const areas = this.#areasFor(bodyBytes);
    const sheet = this.#out < SHEETS_MAX ? this.#take(areas) : await this.#wait(areas);
    try {
      // Nothing is awaited without need: a small body is read within one turn.
      const pace = new Pace(pause);
      sheet.begin(bodyBytes, areas, this.#secret[0]!, this.#secret[1]! | 0x8000_0001);
      if (bodyBytes > COPY_BYTES) await copyLong(chunks, sheet, pace);
      else copyShort(chunks, sheet);
      return await use(sheet, pace, bodyBytes);
    } catch (error) {
      this.#give(sheet);
      throw error;
    }
  }

  /** Bodies of about one length share their layout. */
  #areasFor(bodyBytes: number): Areas {
    const roomBytes = Math.ceil(bodyBytes / LAYOUT_BYTES) * LAYOUT_BYTES;
    if (this.#areas.bodyBytes !== roomBytes) this.#areas = layOut(roomBytes);
    return this.#areas;
  }

  #take(areas: Areas): Sheet {
    this.#out++;
    return this.#fit(this.#free.pop(), areas);
  }

  async #wait(areas: Areas): Promise<Sheet> {
    return this.#fit(await new Promise((resolve) => this.#waiting.push(resolve)), areas);
  }

  #fit(sheet: Sheet | undefined, { end }: Areas): Sheet {
    if (end <= SHEET_BYTES_KEPT) return sheet ?? this.#open(SHEET_PAGES_MIN);
    // A large body gets a memory of its own, all zero, and a small sheet goes back on the pile.
    if (sheet !== undefined) this.#keep(sheet);
    return this.#open(Math.ceil(end / PAGE_BYTES));
  }

  #open(pages: number): Sheet {
    try {
      return new Sheet(this.#module, pages);
    } catch (cause) {
      this.#pass(undefined);
      throw new OmenError("OVERLOADED", "there is no memory to read the body", { cause });
    }
  }

  #give(sheet: Sheet): void {
    this.#pass(sheet.byteLength <= SHEET_BYTES_KEPT ? sheet : undefined);
  }

  /** To the first body in line, or on the pile. */
  #pass(sheet: Sheet | undefined): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(sheet);
      return;
    }
    this.#out--;
    if (sheet !== undefined) this.#keep(sheet);
  }

  #keep(sheet: Sheet): void {
    if (this.#free.length < SHEETS_KEPT) this.#free.push(sheet);
  }

  #openSums(): Sheet {
    const sheet = new Sheet(this.#module);
    sheet.engine.crc32cInit(DESK_AREAS);
    return sheet;
  }
}

function copyShort(chunks: Uint8Array[], sheet: Sheet): void {
  let target = sheet.areas.source;
  for (const chunk of chunks) {
    sheet.bytes.set(chunk, target);
    target += chunk.length;
  }
  chunks.length = 0;
}

async function copyLong(chunks: Uint8Array[], sheet: Sheet, pace: Pace): Promise<void> {
  let target = sheet.areas.source;
  let copied = 0;
  for (let index = 0; index < chunks.length; index++) {
    const chunk = chunks[index]!;
    for (let start = 0; start < chunk.length; start += COPY_BYTES) {
      const part = chunk.subarray(start, start + COPY_BYTES);
      sheet.bytes.set(part, target);
      target += part.length;
      copied += part.length;
      if (copied < COPY_BYTES) continue;
      copied = 0;
      if (pace.isDue()) await pace.rest();
    }
    // The sender's bytes may go as soon as the sheet has them.
    chunks[index] = EMPTY;
  }
}

const EMPTY = new Uint8Array(0);
