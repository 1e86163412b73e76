/**
 * Files of vectors of one length, one after the other: NumPy's .npy, and the .fvecs and .bvecs of
 * research. Ids and metadata stand beside them, a line of JSON a row, in NAME.ids.ndjson and
 * NAME.metadata.ndjson; without ids a row's number is its id.
 *
 *   .npy     a header that names type and shape, then rows
 *   .fvecs   for each row its dimensions as int32, then float32
 *   .bvecs   the same with uint8
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Metadata, RowToAdd } from "../../client/index.ts";
import { OmenError } from "../../errors.ts";
import { linesOf } from "./lines.ts";
import type { Source } from "./source.ts";

export type RecordKind = ".npy" | ".fvecs" | ".bvecs";

interface Layout {
  /** Where the first row begins. */
  readonly start: number;
  readonly rows: number;
  readonly dimensions: number;
  /** Of a whole row, and of what stands in it before its components. */
  readonly rowBytes: number;
  readonly headBytes: number;
  readonly component: Component;
}

interface Component {
  readonly bytes: number;
  readonly get: (view: DataView, offset: number) => number;
}

const FLOAT32: Component = { bytes: 4, get: (view, offset) => view.getFloat32(offset, true) };
const UINT8: Component = { bytes: 1, get: (view, offset) => view.getUint8(offset) };
/** By NumPy's names. */
const COMPONENTS: Readonly<Record<string, Component>> = {
  "<f4": FLOAT32,
  "<f8": { bytes: 8, get: (view, offset) => view.getFloat64(offset, true) },
  "|u1": UINT8,
  "|i1": { bytes: 1, get: (view, offset) => view.getInt8(offset) },
  "<i2": { bytes: 2, get: (view, offset) => view.getInt16(offset, true) },
  "<i4": { bytes: 4, get: (view, offset) => view.getInt32(offset, true) },
};
const BLOCK_BYTES = 1024 * 1024;
const NPY_MAGIC = "\u0093NUMPY";
const DIMENSIONS_MAX = 8192;

export interface Companions {
  readonly ids?: string;
  readonly metadata?: string;
}

/** `NAME.npy` -> `NAME.ids.ndjson`. */
export function companionOf(path: string, what: "ids" | "metadata"): string {
  return `${path.replace(/\.[^./]+$/, "")}.${what}.ndjson`;
}

export async function openRecords(
  path: string,
  kind: RecordKind,
  companions: Companions,
): Promise<Source> {
  const layout = await layoutOf(path, kind);
  const ids = await present(companions.ids, companionOf(path, "ids"));
  const metadata = await present(companions.metadata, companionOf(path, "metadata"));
  return {
    rows: layout.rows,
    read: (skip) => rowsOf(path, layout, { ids, metadata }, skip),
    share: (rows) => rows / Math.max(1, layout.rows),
  };
}

/** What was asked for has to be there; what would stand there by its name may be missing. */
async function present(given: string | undefined, byName: string): Promise<string | undefined> {
  if (given !== undefined) return given;
  return (await stat(byName).catch(() => undefined))?.isFile() ? byName : undefined;
}

async function* rowsOf(
  path: string,
  { start, rows, dimensions, rowBytes, headBytes, component }: Layout,
  companions: Companions,
  skip: number,
): AsyncGenerator<RowToAdd> {
  const ids = companions.ids === undefined ? undefined : linesOf(companions.ids, skip);
  const metadata =
    companions.metadata === undefined ? undefined : linesOf(companions.metadata, skip);
  const file = await open(path);
  try {
    const blockRows = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
    for (let row = skip; row < rows; row += blockRows) {
      const count = Math.min(blockRows, rows - row);
      const view = await readView(file, path, start + row * rowBytes, count * rowBytes);
      for (let index = 0; index < count; index++) {
        const at = index * rowBytes;
        if (headBytes > 0 && view.getInt32(at, true) !== dimensions) {
          const got = view.getInt32(at, true);
          refuse(path, `row ${row + index} has ${got} dimensions, the first has ${dimensions}`);
        }
        const vector = new Float32Array(dimensions);
        for (let i = 0; i < dimensions; i++) {
          vector[i] = component.get(view, at + headBytes + i * component.bytes);
        }
        const id = await nextOf<string | number>(ids, companions.ids, row + index);
        const found = await nextOf<Metadata | null>(metadata, companions.metadata, row + index);
        yield { id: id ?? row + index, vector, metadata: found ?? undefined };
      }
    }
  } finally {
    await file.close();
    await ids?.return(undefined);
    await metadata?.return(undefined);
  }
}

async function nextOf<Value>(
  lines: ReturnType<typeof linesOf> | undefined,
  path: string | undefined,
  row: number,
): Promise<Value | undefined> {
  if (lines === undefined) return undefined;
  const { value, done } = await lines.next();
  if (done) refuse(path!, `ends before row ${row}`);
  return value.json() as Value;
}

async function layoutOf(path: string, kind: RecordKind): Promise<Layout> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    return kind === ".npy"
      ? await npyLayout(file, path, size)
      : await vecsLayout(file, path, kind, size);
  } finally {
    await file.close();
  }
}

async function vecsLayout(
  file: FileHandle,
  path: string,
  kind: RecordKind,
  size: number,
): Promise<Layout> {
  const dimensions = (await readView(file, path, 0, 4)).getInt32(0, true);
  checkDimensions(path, dimensions);
  const component = kind === ".fvecs" ? FLOAT32 : UINT8;
  const rowBytes = 4 + dimensions * component.bytes;
  if (size % rowBytes !== 0) refuse(path, `${size} bytes are no whole rows of ${rowBytes}`);
  return { start: 0, rows: size / rowBytes, dimensions, rowBytes, headBytes: 4, component };
}

async function npyLayout(file: FileHandle, path: string, size: number): Promise<Layout> {
  const head = await readView(file, path, 0, 12);
  const magic = String.fromCharCode(...new Uint8Array(head.buffer, head.byteOffset, 6));
  if (magic !== NPY_MAGIC) refuse(path, "is no .npy file");
  const isShort = head.getUint8(6) === 1;
  const textStart = isShort ? 10 : 12;
  const start = textStart + (isShort ? head.getUint16(8, true) : head.getUint32(8, true));
  const text = new TextDecoder("latin1").decode(
    await readView(file, path, textStart, start - textStart),
  );
  const descr = /'descr':\s*'([^']+)'/.exec(text)?.[1] ?? "?";
  const [, rowCount, columnCount] = /'shape':\s*\((\d+),\s*(\d+)\s*,?\)/.exec(text) ?? [];
  const component = COMPONENTS[descr];
  if (component === undefined) {
    refuse(path, `holds ${descr}, expected one of ${Object.keys(COMPONENTS).join(", ")}`);
  }
  if (columnCount === undefined) refuse(path, "is not a table of rows and columns");
  if (/'fortran_order':\s*True/.test(text)) refuse(path, "is ordered by columns, not by rows");
  const [rows, dimensions] = [Number(rowCount), Number(columnCount)];
  checkDimensions(path, dimensions);
  const rowBytes = dimensions * component.bytes;
  const needed = start + rows * rowBytes;
  if (size < needed) refuse(path, `has ${size} bytes, its header says ${needed}`);
  return { start, rows, dimensions, rowBytes, headBytes: 0, component };
}

function checkDimensions(path: string, dimensions: number): void {
  if (dimensions >= 1 && dimensions <= DIMENSIONS_MAX) return;
  refuse(path, `says ${dimensions} dimensions, expected 1 to ${DIMENSIONS_MAX}`);
}

async function readView(
  file: FileHandle,
  path: string,
  offset: number,
  bytes: number,
): Promise<DataView> {
  const buffer = new Uint8Array(bytes);
  const { bytesRead } = await file.read(buffer, 0, bytes, offset);
  if (bytesRead < bytes) refuse(path, `ends at ${offset + bytesRead}, in the middle of a row`);
  return new DataView(buffer.buffer);
}

function refuse(path: string, message: string): never {
  throw new OmenError("INVALID_REQUEST", `${path} ${message}`);
}
