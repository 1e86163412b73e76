/**
 * The numbers on which the engine and its host agree about a shard's third memory, the columns:
 * offsets, sizes and limits. asc compiles this file and Node imports it as it stands.
 *
 * A column holds what the rows' metadata have at one path, a *lane* of 8 bytes a row. Column 0 is
 * the metadata itself. Low to high:
 *
 *   offset or base   | size                   | what lies there
 *   0                | COLUMNS_HEADER_BYTES   | words below; powers of ten where the desk has them
 *   COLUMNS_TABLE    | COLUMNS_MAX x 32       | a column each, in the order they came
 *   COLUMNS_NAMES    | NAMES_SLOTS x 4        | hash of parent and name -> column + 1
 *   COLUMNS_SCRATCH  | the writer's           | a row's metadata, a string unescaped, an array
 *   logBase          | LOG_SLOTS x 4          | ring: slots in the order they were written
 *   workersBase      | workers x workerStride | for each reader: program, memo, bits that come out
 *   tablesBase       | COLUMNS_MAX x chunks x4| column x chunk -> 0 absent, 1 no room, else its
 *                    |                        | place among the chunks + 2
 *   entriesBase      | entriesMax x 16        | code -> hash, place among the texts, bytes
 *   indexBase x 2    | 4 << indexBits         | open addressing: 0 empty, else code + 1
 *   presentBase      | capacity / 8           | one bit a slot: it holds a row
 *   dirtyBase        | 2 maps                 | what was changed lately, see dirty.ts
 *   textsBase        | textsBytes             | names, strings, lanes of arrays
 *   palettesBase     | COLUMNS_MAX x 4096     | a column's first lanes, which have codes of a byte
 *   chunksBase       | to the end             | chunks of CHUNK_ROWS lanes, then as many codes
 *
 * A lane is kept as its bits exclusive-or LANE_MASK, a quiet NaN, so that memory nobody has written
 * means *missing*. A number is its float64 (no -0, no NaN). All else has the high 16 bits of that
 * NaN, and as kept: tag << 32 | payload.
 *
 * Beside its lane a row has a code of one byte: 0 missing, 1..254 a lane of the column's palette,
 * 255 any other. Where few values are many rows', a filter reads an eighth of the memory.
 */

export const COLUMNS_MAGIC = 0x534c4f43;
export const COLUMNS_VERSION = 1;

// Limits.
/** Columns that come by themselves with the paths that rows have. */
export const COLUMNS_AUTO_MAX = 64;
/** Paths that a schema may pin; with what lies on the way to them at most SCHEMA_COLUMNS_MAX. */
export const SCHEMA_PATHS_MAX = 64;
export const SCHEMA_COLUMNS_MAX = 128;
export const COLUMNS_MAX = 256;
export const PATH_STEPS_MAX = 32;
/** Longer strings, names and arrays are looked up in the row's JSON. */
export const COLUMN_TEXT_BYTES_MAX = 256;
export const COLUMN_NAME_BYTES_MAX = 256;
export const COLUMN_ARRAY_MAX = 256;

export const CHUNK_ROWS = 4096;
export const CHUNK_BYTES = 36864;
export const CHUNK_CODES = 32768;
export const CHUNK_NO_ROOM = 1;
export const CHUNK_FIRST = 2;
/** Rows that one call of `columnsRun` looks through. */
export const RUN_ROWS = 65536;
/** Bits of a group of rows come out as one word. */
export const GROUP_ROWS = 64;

// Header, in bytes from 0.
export const COLUMNS_HEADER_BYTES = 8192;
export const COLUMNS_HEADER_MAGIC = 0;
export const COLUMNS_HEADER_VERSION = 4;
export const COLUMNS_CAPACITY = 8;
export const COLUMNS_WORKERS = 12;
export const COLUMNS_SEED = 16;
export const COLUMNS_LOG_BASE = 20;
export const COLUMNS_WORKERS_BASE = 24;
export const COLUMNS_TABLES_BASE = 28;
export const COLUMNS_CHUNKS_EACH = 32;
export const COLUMNS_ENTRIES_BASE = 36;
export const COLUMNS_ENTRIES_MAX = 40;
export const COLUMNS_INDEX_A = 44;
export const COLUMNS_INDEX_B = 48;
export const COLUMNS_INDEX_BITS_MAX = 52;
export const COLUMNS_TEXTS_BASE = 56;
export const COLUMNS_TEXTS_END = 60;
export const COLUMNS_CHUNKS_BASE = 64;
export const COLUMNS_END = 68;
/** Columns that rows, not a schema, have brought. */
export const COLUMNS_AUTO_COUNT = 72;
/** Slots below this one have held a row. */
export const COLUMNS_HIGH_SLOT = 76;
/** What the row being written turned out to have: ROW_FLAG_*. */
export const COLUMNS_ROW_FLAGS = 80;
/** Bytes of what `unescape` left. */
export const COLUMNS_UNESCAPED = 84;
export const COLUMNS_PRESENT_BASE = 88;
export const COLUMNS_PALETTES_BASE = 92;
/** Of a fault in columns from a file: which column, entry or slot it is. */
export const COLUMNS_FAULT_PLACE = 96;
// The maps of changes, at the offsets of layout.ts, so that one function marks them.
export const COLUMNS_DIRTY_BASE = 108;
export const COLUMNS_DIRTY_STRIDE = 112;
export const COLUMNS_DIRTY_NOW = 116;
// Read by other threads while the writer goes on.
export const COLUMNS_COUNT = 128;
/** Which index is current and how large: bits << 1 | 1 for B. */
export const COLUMNS_INDEX = 132;
export const COLUMNS_ENTRIES_USED = 136;
/** Bytes of texts, and chunks, that are taken. */
export const COLUMNS_TEXTS_USED = 140;
export const COLUMNS_CHUNKS_USED = 144;
/** Slots ever logged. */
export const COLUMNS_LOGGED = 192;

// A column, in bytes from its start.
export const COLUMNS_TABLE = 8192;
export const COLUMN_BYTES = 32;
export const COLUMN_PARENT = 0;
/** Place of its name among the texts. */
export const COLUMN_NAME = 4;
export const COLUMN_NAME_BYTES = 8;
export const COLUMN_HASH = 12;
export const COLUMN_KIND = 16;
export const COLUMN_SEEN = 20;

// What a column keeps: everything, or only values of its kind (others are seen in the JSON).
export const KIND_AUTO = 0;
export const KIND_KEYWORD = 1;
export const KIND_NUMBER = 2;
export const KIND_BOOLEAN = 3;
/** No lanes at all: the path and what lies below it. */
export const KIND_NONE = 4;

// What a column's lanes may be beside missing, numbers, booleans and null.
export const SEEN_TEXT = 1;
export const SEEN_ARRAY = 2;
export const SEEN_JSON = 4;

export const COLUMNS_NAMES = 16384;
export const NAMES_SLOTS = 1024;
export const COLUMNS_SCRATCH = 20480;
export const SCRATCH_TEXT = 20480;
export const SCRATCH_UNESCAPED = 86080;
export const SCRATCH_ARRAY = 151680;
export const COLUMNS_FIXED_END = 196608;

export const LOG_SLOTS = 65536;

// An entry of the dictionary. The top bit of its bytes marks an array: its lanes, one after
// another.
export const ENTRY_BYTES = 16;
export const ENTRY_HASH = 0;
export const ENTRY_PLACE = 4;
export const ENTRY_LENGTH = 8;
export const ENTRY_ARRAY = 0x80000000;
export const NO_CODE = 0xffffffff;
export const INDEX_BITS_MIN = 10;

// A palette, in bytes: how many codes are given, their lanes from code 0 on, a table of codes.
export const PALETTE_BYTES = 4096;
export const PALETTE_LANES = 8;
export const PALETTE_TABLE = 2064;
export const PALETTE_PLACES = 1024;
export const PALETTE_CODE_MAX = 254;
export const CODE_OTHER = 255;

// Tags of lanes that are no number.
export const LANE_MASK_HIGH = 0x7ff80000;
export const TAG_MISSING = 0;
export const TAG_NULL = 1;
export const TAG_BOOLEAN = 2;
export const TAG_OBJECT = 3;
export const TAG_TEXT = 4;
export const TAG_ARRAY = 5;
/** The value is to be seen in the row's JSON. */
export const TAG_JSON = 6;
/** Column 0 alone: ROW_FLAG_*. */
export const TAG_ROW = 7;
/** No lane ever has it: a string that the dictionary does not know. */
export const TAG_NOWHERE = 8;

export const ROW_FLAG_METADATA = 1;
/** It has a path without a column, because there was no room for one more. */
export const ROW_FLAG_OVERFLOW = 2;

// A worker's area, in bytes from its base.
export const WORKER_PROGRAM = 0;
export const WORKER_PROGRAM_BYTES = 262144;
export const WORKER_STACK = 262144;
export const WORKER_MEMO = 264192;
export const MEMO_SLOTS = 8192;
export const WORKER_MATCHES = 329728;
export const WORKER_UNSURE = 337920;
export const WORKER_EPOCH = 346112;
/** For each instruction what it says of the palette: VERDICT_*. */
export const WORKER_VERDICTS = 346624;
export const VERDICT_BYTES = 320;
export const VERDICT_EPOCH = 0;
/** How many codes alone are met, or with VERDICT_INVERTED are not; VERDICT_MANY for a look each. */
export const VERDICT_FEW = 4;
export const VERDICT_CODES = 8;
export const VERDICT_INVERTED = 256;
export const VERDICT_MANY = 512;
export const VERDICT_FEW_MAX = 4;
/** A byte a code, 1 where it is met. */
export const VERDICT_EACH = 64;
/** For each group of a run's part the instruction that it rests until. */
export const WORKER_RESTS = 674304;
export const COLUMNS_WORKER_BYTES = 675840;

// A program: instructions of 32 bytes, then from PROGRAM_DATA on their sets and strings. It works
// on
// a stack of words.
export const PROGRAM_INSTRUCTIONS_MAX = 1024;
export const PROGRAM_DATA = 32768;
export const PROGRAM_DATA_BYTES = 229376;
export const INSTRUCTION_BYTES = 32;
export const INSTRUCTION_OP = 0;
export const INSTRUCTION_COLUMN = 4;
export const INSTRUCTION_TARGET = 8;
export const INSTRUCTION_ADDRESS = 16;
export const INSTRUCTION_LENGTH = 20;
export const INSTRUCTION_ORDER = 24;

export const OP_END = 0;
export const OP_ALL = 1;
export const OP_AND = 2;
export const OP_OR = 3;
export const OP_NOT = 4;
/** To the instruction whose number is its length, when the top is zero or all ones. */
export const OP_SKIP_IF_NONE = 5;
export const OP_SKIP_IF_ALL = 6;
export const OP_EQUALS = 8;
export const OP_NUMBER = 9;
export const OP_TEXT = 10;
export const OP_IN = 11;
export const OP_EXISTS = 12;
export const OP_CONTAINS = 13;
/** A path without a column: rows whose flags have a bit of the length are to be seen in JSON. */
export const OP_UNKNOWN = 14;

// What may be wrong with columns from a file.
export const COLUMNS_FAULT_NONE = 0;
export const COLUMNS_FAULT_ENTRY = 1;
export const COLUMNS_FAULT_TWICE = 2;
export const COLUMNS_FAULT_COLUMN = 3;
export const COLUMNS_FAULT_PALETTE = 4;
export const COLUMNS_FAULT_LANE = 5;

export const ORDER_GREATER = 0;
export const ORDER_GREATER_EQUAL = 1;
export const ORDER_LESS = 2;
export const ORDER_LESS_EQUAL = 3;
