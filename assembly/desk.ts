/**
 * The desk: a small memory of each thread's own, on which request bodies are read and checksums are
 * made. Plain numbers only, compiled by asc and imported by Node, so both sides share every offset.
 *
 * The picture of a desk memory, in bytes. The host lays out what lies beyond DESK_AREAS for each
 * body anew (src/engine/sheet.ts).
 *
 *   offset        | size              | name     | meaning
 *   1,024         | 256               | scan     | the scanner's state, see SCAN_*
 *   2,048         | 3,072             | powers   | powers of ten, see POWERS_*
 *   5,120         | 65 x 160          | frames   | one for each open object or array, see FRAME_*
 *   16,384        | 2 x 4,112         | scratch  | two member names with their escapes resolved
 *   28,672        | 1,024 x 12        | oddities | components left to the host, see ODDITY_*
 *   65,536        | by the body       | areas    | source, skeleton, vectors, metadata, ...
 */
export const DESK_SCAN = 1024;
export const DESK_POWERS = 2048;
export const DESK_FRAMES = 5120;
export const DESK_SCRATCH = 16384;
export const DESK_ODDITIES = 28672;
export const DESK_AREAS = 65536;

/** What follows a body's last byte: zeros, so that every token ends and wide loads stay inside. */
export const SOURCE_PADDING_BYTES = 64;
/** What a skeleton may pass its end by before the scanner looks, and wide stores after it. */
export const SKELETON_PADDING_BYTES = 64;

/**
 * Limits on a body. Beyond what RFC 8259 asks, they keep every step short and every table small.
 */
export const DEPTH_MAX = 64;
export const KEY_BYTES_MAX = 4096;
export const NUMBER_BYTES_MAX = 1024;
export const METADATA_BYTES_MAX = 65536;
export const COMPONENT_MAX = 1e16;
export const INTEGER_MAX = 9007199254740991;

/**
 * Of the skeleton as a whole: some hundred thousand rows. More objects would hold up the collector.
 */
export const SKELETON_BYTES_MAX = 16777216;

/** The answers of jsonStep. After SCAN_ODDITIES the host empties that list and calls again. */
export const SCAN_MORE = 0;
export const SCAN_DONE = 1;
export const SCAN_FAULT = 2;
export const SCAN_ODDITIES = 3;

/**
 * The scanner's state: what the host writes before the first step, and what it reads after the
 * last.
 */
export const SCAN_POSITION = 0;
export const SCAN_END = 4;
export const SCAN_SKELETON = 8;
export const SCAN_SKELETON_END = 12;
export const SCAN_FLOATS = 16;
export const SCAN_VECTORS = 20;
export const SCAN_VECTOR_COUNT = 24;
export const SCAN_METADATA = 28;
export const SCAN_METADATA_COUNT = 32;
export const SCAN_ODDITY_COUNT = 36;
export const SCAN_TABLE = 40;
export const SCAN_TABLE_MASK = 44;
export const SCAN_TABLE_CLEAN = 48;
export const SCAN_HASH_SEED = 52;
export const SCAN_HASH_MULTIPLIER = 56;
export const SCAN_DEPTH = 60;
export const SCAN_FAULT_CODE = 64;
export const SCAN_CUTS = 68;
export const SCAN_CUT_COUNT = 72;
export const SCAN_CUT_KEY = 76;
export const SCAN_CUT_END = 80;
export const SCAN_BYTES = 128;

/** One for each open object or array: enough to write the JSON pointer of a fault. */
export const FRAME_KIND = 0;
export const FRAME_KEY = 4;
export const FRAME_COUNT = 8;
export const FRAME_BYTES = 160;
export const KIND_ARRAY = 0;
export const KIND_OBJECT = 1;

/** One for each vector; its handle is its number. `row` is -1 for a member of the root object. */
export const VECTOR_FLOATS = 0;
export const VECTOR_COUNT = 4;
export const VECTOR_FAULT = 8;
export const VECTOR_FAULT_INDEX = 12;
export const VECTOR_ROW = 16;
export const VECTOR_KEY = 20;
export const VECTOR_BYTES = 24;
export const VECTOR_SOUND = 0;
export const VECTOR_NOT_A_NUMBER = 1;
export const VECTOR_OUT_OF_RANGE = 2;
export const VECTOR_NOT_BASE64 = 3;
export const VECTOR_TORN = 4;

/** One for each metadata object: its first byte in the source and the byte after its last. */
export const METADATA_START = 0;
export const METADATA_END = 4;
export const METADATA_BYTES = 8;

/**
 * A component whose float32 the fast conversion cannot decide: where its text starts, where its
 * float goes.
 */
export const ODDITY_SOURCE = 0;
export const ODDITY_FLOAT = 4;
export const ODDITY_VECTOR = 8;
export const ODDITY_BYTES = 12;
export const ODDITIES_MAX = 1024;

/**
 * A skeleton can be long because one array in the root is, so that array is parsed in pieces: a cut
 * is the address in the skeleton of an element's first byte, CUT_DISTANCE_BYTES or more after the
 * last. In the list the skeleton's own start comes first; SCAN_CUTS is the address after it.
 */
export const CUT_BYTES = 4;
export const CUT_DISTANCE_BYTES = 65536;

/** A slot of the table of member names: hash, address of the name. */
export const TABLE_SLOT_BYTES = 8;

/**
 * Powers of ten: 10^0..10^18 as u64; 10^-65..10^22 as float64; for these also the leading 128 bits
 * of the power of five, high word first, truncated (of a negative power: rounded up).
 */
export const POWERS_FLOAT = 160;
export const POWERS_FIVE = 864;
export const POWERS_BYTES = 2272;
export const POWER_MIN = -65;
export const POWER_MAX = 22;

/** Why a body is refused. */
export const FAULT_EMPTY = 1;
export const FAULT_END = 2;
export const FAULT_CHARACTER = 3;
export const FAULT_UTF8 = 4;
export const FAULT_ESCAPE = 5;
export const FAULT_SURROGATE = 6;
export const FAULT_CONTROL = 7;
export const FAULT_NUMBER = 8;
export const FAULT_INTEGER = 9;
export const FAULT_DEPTH = 10;
export const FAULT_DUPLICATE = 11;
export const FAULT_KEY_BYTES = 12;
export const FAULT_NUMBER_BYTES = 13;
export const FAULT_METADATA_BYTES = 14;
export const FAULT_SKELETON = 15;
export const FAULT_TRAILING = 16;

/** The tables of crc32c, see assembly/crc32c.ts. */
export const CRC_TABLE_BYTES = 17408;
