/**
 * An Arrow IPC stream, looked over before the library reads it: the library believes every length
 * and offset, and one that a client made up would have it fill the memory. So each vector of the
 * flatbuffers has to lie in its message, each buffer in its body, and no column may have more rows
 * than its stream has bits. What nobody here reads (dictionaries, unions, compressed buffers) is
 * refused by name.
 *
 * A message: 0xffffffff | bytes of metadata | metadata | body. The metadata is a flatbuffer of
 *
 *   table       | fields by number
 *   Message     | 1 header type, 2 header, 3 bytes of the body, 4 notes
 *   Schema      | 0 endianness, 1 fields, 2 notes
 *   Field       | 2 type, 4 dictionary, 5 children, 6 notes
 *   RecordBatch | 0 rows, 1 nodes (16 bytes: rows, nulls), 2 buffers (16: offset, bytes), 3 codec
 */
const CONTINUATION = 0xffff_ffff;
const HEADER_SCHEMA = 1;
const HEADER_RECORD_BATCH = 3;
const TYPE_UNION = 14;
/** Of a schema, nested ones too. */
const FIELDS_MAX = 1024;
const FIELD_DEPTH_MAX = 16;
const STRUCT_BYTES = 16;
const OFFSET_BYTES = 4;

/** Throws an Error that says what is wrong; a RangeError where an offset points outside. */
export function verifyStream(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    let metadataBytes = view.getUint32(at, true);
    at += 4;
    if (metadataBytes === CONTINUATION) {
      metadataBytes = view.getUint32(at, true);
      at += 4;
    }
    if (metadataBytes === 0) return;
    if (metadataBytes > bytes.length - at) throw new Error("a message is cut short");
    const message = new Flat(bytes, at, metadataBytes);
    at += metadataBytes;
    const bodyBytes = verifyMessage(message, bytes.length);
    if (bodyBytes > bytes.length - at) throw new Error("the body of a message is cut short");
    at += bodyBytes;
  }
}

/** Returns the bytes of the message's body. */
function verifyMessage(message: Flat, streamBytes: number): number {
  const root = message.root();
  message.vector(root, 4, OFFSET_BYTES);
  const bodyBytes = message.wide(root, 3);
  const kind = message.byte(root, 1);
  const header = message.table(root, 2);
  if (header === 0) throw new Error("a message has no header");
  if (kind === HEADER_SCHEMA) {
    if (message.byte(header, 0) !== 0) throw new Error("it is big-endian");
    verifyNotes(message, header, 2);
    verifyFields(message, header, 1, { left: FIELDS_MAX }, FIELD_DEPTH_MAX);
  } else if (kind === HEADER_RECORD_BATCH) verifyBatch(message, header, bodyBytes, streamBytes * 8);
  else throw new Error("it has a message that is neither a schema nor a record batch");
  return bodyBytes;
}

function verifyFields(
  message: Flat,
  table: number,
  field: number,
  budget: { left: number },
  depth: number,
): void {
  const { start, count } = message.vector(table, field, OFFSET_BYTES);
  budget.left -= count;
  if (budget.left < 0) throw new Error(`it has more than ${FIELDS_MAX} fields`);
  if (depth === 0) throw new Error(`its fields are nested deeper than ${FIELD_DEPTH_MAX}`);
  for (let index = 0; index < count; index++) {
    const each = message.follow(start + index * OFFSET_BYTES);
    if (message.byte(each, 2) === TYPE_UNION) throw new Error("it has a column of a union");
    if (message.table(each, 4) !== 0) throw new Error("it has a column of a dictionary");
    verifyNotes(message, each, 6);
    verifyFields(message, each, 5, budget, depth - 1);
  }
}

function verifyNotes(message: Flat, table: number, field: number): void {
  const { start, count } = message.vector(table, field, OFFSET_BYTES);
  for (let index = 0; index < count; index++) message.follow(start + index * OFFSET_BYTES);
}

function verifyBatch(message: Flat, batch: number, bodyBytes: number, rowsMax: number): void {
  if (message.table(batch, 3) !== 0) throw new Error("its buffers are compressed");
  if (message.wide(batch, 0) > rowsMax) throw new Error("it has fewer bytes than rows");
  const nodes = message.vector(batch, 1, STRUCT_BYTES);
  for (let index = 0; index < nodes.count; index++) {
    const rows = message.wideAt(nodes.start + index * STRUCT_BYTES);
    const nulls = message.wideAt(nodes.start + index * STRUCT_BYTES + 8);
    if (rows > rowsMax || nulls > rows) throw new Error("a column has fewer bytes than rows");
  }
  const buffers = message.vector(batch, 2, STRUCT_BYTES);
  for (let index = 0; index < buffers.count; index++) {
    const offset = message.wideAt(buffers.start + index * STRUCT_BYTES);
    const length = message.wideAt(buffers.start + index * STRUCT_BYTES + 8);
    if (offset + length > bodyBytes) throw new Error("a buffer reaches past its body");
  }
}

/** As much of a flatbuffer as is needed; an address is never outside of it. */
class Flat {
  readonly #view: DataView;

  constructor(bytes: Uint8Array, start: number, length: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset + start, length);
  }

  root(): number {
    return this.follow(0);
  }

  follow(at: number): number {
    return at + this.#view.getUint32(at, true);
  }

  /** Where the field's value lies; 0 where the table has none. */
  #field(table: number, field: number): number {
    const about = table - this.#view.getInt32(table, true);
    const entry = 4 + 2 * field;
    if (entry + 2 > this.#view.getUint16(about, true)) return 0;
    const offset = this.#view.getUint16(about + entry, true);
    return offset === 0 ? 0 : table + offset;
  }

  byte(table: number, field: number): number {
    const at = this.#field(table, field);
    return at === 0 ? 0 : this.#view.getUint8(at);
  }

  wide(table: number, field: number): number {
    const at = this.#field(table, field);
    return at === 0 ? 0 : this.wideAt(at);
  }

  wideAt(at: number): number {
    const value = Number(this.#view.getBigInt64(at, true));
    if (value < 0 || !Number.isSafeInteger(value)) throw new Error("a number in it is not sound");
    return value;
  }

  table(table: number, field: number): number {
    const at = this.#field(table, field);
    return at === 0 ? 0 : this.follow(at);
  }

  vector(table: number, field: number, elementBytes: number): { start: number; count: number } {
    const at = this.#field(table, field);
    if (at === 0) return { start: 0, count: 0 };
    const start = this.follow(at);
    const count = this.#view.getUint32(start, true);
    if (start + 4 + count * elementBytes > this.#view.byteLength) {
      throw new Error("a vector reaches past its message");
    }
    return { start: start + 4, count };
  }
}
