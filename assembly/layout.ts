/**
 * The numbers on which the engine and its host agree: offsets, sizes and limits, and nothing else.
 * asc compiles this file into the engine and Node imports it as it stands; header.ts and row.ts
 * refuse to compile when they drift from it.
 *
 * A shard's memory, low to high (all bases are in the header; a slot is a row's place, 0 <= slot <
 * capacity):
 *
 *   base              | size                        | what lies there
 *   0                 | HEADER_BYTES                | settings, bases, counters, codebooks
 *   workersBase       | workers x workerStride      | an area a thread: query, pools, results
 *   upperBase         | upperCapacity x upperStride | links of the levels above 0, a unit a level
 *   tailBase          | tailCapacity x 4            | ring of slots that are not in the graph yet
 *   scratchBase       | capacity x 4                | queue of the checker
 *   bitmapBase        | workers x bitmapStride      | one bit a slot, which rows a filter lets pass
 *   deadBase          | bitmapStride                | one bit a slot: rows that died
 *   dirtyBase         | 2 x dirtyStride             | one byte for each DIRTY_BYTES of the memory
 *   doomedBase        | bitmapStride                | one bit a slot: dead rows on their way out
 *   reachBase         | 3 x bitmapStride            | one bit a slot each: to reach, met, expanded
 *   codesBase         | capacity x codeStride       | coarse halves of codes: what a walk reads
 *   finesBase         | capacity x codeBytes / 2    | fine halves of codes: see row.ts
 *   rowsBase          | capacity x rowStride        | rows: head, links of level 0
 *   baysBase          | capacity x 4                | where float32 is not kept: see bays.ts
 *   vectorsBase       | capacity x vectorStride     | the caller's float32, unchanged; or bays
 */

export const LAYOUT_MAGIC = 0x444e4d4f;
export const LAYOUT_VERSION = 1;
/** Of a shard that does not keep float32 of every row. */
export const LAYOUT_VERSION_SHED = 2;

// Limits.
export const DIMENSIONS_MAX = 8192;
export const ID_BYTES_MAX = 512;
export const M_MIN = 2;
export const M_MAX = 64;
export const EF_MAX = 16384;
export const K_MAX = 10000;
export const LEVELS_MAX = 8;
export const POOL_MAX = 32768;
export const SELECT_MAX = 1024;
export const TIED_BITS = 10;
export const TIED_BYTES = 16384;
export const CODE_DIMENSIONS_MIN = 16;
export const MEMORY_END_MAX = 4294901760;

// Of the memory, what one byte of a map of changes stands for: see dirty.ts.
export const DIRTY_SHIFT = 12;
export const DIRTY_BYTES = 4096;

// Metrics and walks.
export const METRIC_L2 = 0;
export const METRIC_COSINE = 1;
export const METRIC_DOT = 2;
export const QUANTIZATION_NONE = 0;
export const QUANTIZATION_SQ8 = 1;

// Which float32 rows stay: all, or those that a code cannot hold.
export const KEEP_ALL = 0;
export const KEEP_ROUGH = 1;
/** Bays that hold no row. */
export const BAYS_RESERVED = 3;
/** Rows that have a bay at most: one in so many, but no fewer than the least. */
export const BAYS_SHARE = 8;
export const BAYS_MIN = 8192;

// Slots are 30 bits in a pool entry; the two bits above mark it.
export const NO_SLOT = 0x3fffffff;

// Header, in bytes from 0.
export const HEADER_BYTES = 65536;
export const HEADER_MAGIC = 0;
export const HEADER_VERSION = 4;
export const HEADER_DIMENSIONS = 8;
export const HEADER_METRIC = 12;
export const HEADER_M = 16;
export const HEADER_QUANTIZATION = 20;
export const HEADER_CAPACITY = 24;
export const HEADER_WORKERS = 28;
export const HEADER_CODE_BYTES = 32;
export const HEADER_ROW_STRIDE = 36;
export const HEADER_VECTOR_STRIDE = 40;
export const HEADER_UPPER_STRIDE = 44;
export const HEADER_UPPER_CAPACITY = 48;
export const HEADER_TAIL_CAPACITY = 52;
export const HEADER_WORKERS_BASE = 56;
export const HEADER_WORKER_STRIDE = 60;
export const HEADER_UPPER_BASE = 64;
export const HEADER_TAIL_BASE = 68;
export const HEADER_SCRATCH_BASE = 72;
export const HEADER_BITMAP_BASE = 76;
export const HEADER_BITMAP_STRIDE = 80;
export const HEADER_ROWS_BASE = 84;
export const HEADER_VECTORS_BASE = 88;
export const HEADER_END = 92;
export const HEADER_CODES_BASE = 96;
export const HEADER_CODE_STRIDE = 100;
export const HEADER_DEAD_BASE = 104;
export const HEADER_DIRTY_BASE = 108;
export const HEADER_DIRTY_STRIDE = 112;
export const HEADER_DIRTY_NOW = 116;
export const HEADER_DOOMED_BASE = 120;
export const HEADER_REACH_BASE = 124;
// Counters that the writer alone stores.
export const HEADER_SLOTS_USED = 128;
export const HEADER_LIVE = 132;
export const HEADER_DEAD = 136;
export const HEADER_FREE_HEAD = 140;
export const HEADER_FREE_COUNT = 144;
export const HEADER_RECYCLED = 148;
export const HEADER_FENCE = 152;
export const HEADER_FREE_TAIL = 156;
export const HEADER_RECLAIM_CURSOR = 160;
// Where the fine halves of codes begin.
export const HEADER_FINES_BASE = 164;
// The graph's doors and the tail, each on a cache line of its own.
export const HEADER_ENTRY = 192;
export const HEADER_GRAPH_LOCK = 200;
export const HEADER_UPPER_USED = 204;
export const HEADER_TAIL_END = 256;
export const HEADER_TAIL_TAKEN = 320;
export const HEADER_TAIL_HEAD = 384;
// Code generations.
export const HEADER_GENERATION = 448;
export const HEADER_IRREGULAR = 452;
export const HEADER_CODES_EPOCH = 456;
export const HEADER_ROUGH_SEEN = 460;
export const HEADER_MAINTENANCE = 468;
export const HEADER_REENCODE_NEXT = 472;
export const HEADER_LEARNED_AT = 476;
// Rows linked in haste: how many ever, and how many of them passes of refining have seen.
export const HEADER_HASTY = 480;
export const HEADER_HASTY_PASS = 484;
export const HEADER_HASTY_DONE = 488;
export const HEADER_REFINE_NEXT = 492;
/** How fast distances grow from the nearest rows outward, a float32: see graph/width.ts. */
export const HEADER_SPREAD = 496;
// Rows that are to be looked for, and where the next one is: see graph/revisit.ts.
export const HEADER_VISITS_OWED = 500;
export const HEADER_VISIT_NEXT = 504;
export const HEADER_CODEBOOK_A = 1024;
export const HEADER_CODEBOOK_B = 1152;
// Repair: its steps (graph/repair.ts), each group on a cache line of its own.
export const HEADER_REPAIR_LOCK = 640;
export const HEADER_REPAIR_PHASE = 644;
export const HEADER_REPAIR_CURSOR = 648;
export const HEADER_DOOMED = 652;
export const HEADER_CONFIRMED = 656;
export const HEADER_REPAIR_AGAIN = 660;
export const HEADER_REACH_ROUND = 664;
export const HEADER_RELINKED = 668;
export const HEADER_PASSES = 672;
export const HEADER_REPAIR_ENDED = 676;
export const HEADER_REPAIR_BEGAN = 680;
export const HEADER_REACH_END = 684;
export const HEADER_REACHED_TAIL = 688;
export const HEADER_REPAIR_TOOK = 692;
export const HEADER_FRUITLESS = 696;
export const HEADER_LAST_TIED = 700;
export const HEADER_SWEEP_NEXT = 704;
export const HEADER_SWEEP_DONE = 708;
export const HEADER_SWEEP_END = 712;
// Sequences: what readers must have passed, and what none is owed any more (readers.ts).
export const HEADER_WATERMARK = 768;
export const HEADER_FORGOTTEN = 776;
// Bays (bays.ts), where float32 is not kept.
export const HEADER_KEEP = 896;
export const HEADER_BAYS_BASE = 900;
export const HEADER_BAYS = 904;
export const HEADER_BAYS_USED = 908;
export const HEADER_BAY_FREE = 912;
export const HEADER_BAYS_FREE = 916;
export const HEADER_BAY_LOCK = 920;
/** Free units of the upper region, a stack for each level; a word is the unit + 1. */
export const HEADER_UPPER_FREE = 832;

// Codebook of a generation, in bytes from its start.
export const CODEBOOK_BYTES = 96;
export const CODEBOOK_LOW = 0;
export const CODEBOOK_SCALE = 4;
export const CODEBOOK_INVERSE = 8;
export const CODEBOOK_ZERO = 12;
export const CODEBOOK_LOSSY = 16;
export const CODEBOOK_COARSE = 20;
export const CODEBOOK_STARTS = 32;
export const CODEBOOK_LEVELS = 64;
// A code's component is a number below CODE_VALUES: its cell, and its place in the cell.
export const CODE_VALUES = 128;
export const CELLS = 16;
export const CELL_WIDTH_MAX = 16;

// Row, in bytes from its start.
export const ROW_BIRTH = 0;
export const ROW_DEATH = 8;
export const ROW_STAMP = 16;
export const ROW_LOCK = 20;
export const ROW_UPPER = 24;
export const ROW_PREVIOUS = 28;
export const ROW_FLAGS = 32;
export const ROW_LEVEL = 34;
export const ROW_GENERATION = 35;
export const ROW_COUNT = 36;
export const ROW_HEAD_BYTES = 40;

export const FLAG_LINKED = 1;
export const FLAG_ROUGH = 2;
/** The row died while it waited, and the tail passed it by. */
export const FLAG_PASSED = 4;
/** Nothing leads to the row any more: the writer may take its slot back. */
export const FLAG_CONFIRMED = 8;
/** The row was linked by a narrower walk than it deserves. */
export const FLAG_HASTY = 16;

// Worker area, in bytes from its base; the query's float32 start at WORKER_FIXED, what follows is
// placed by regions.ts.
export const WORKER_QUERY = 0;
export const WORKER_RESULTS = 4;
export const WORKER_RESULT_COUNT = 8;
export const WORKER_MOVED = 12;
export const WORKER_DISTANCES = 16;
export const WORKER_BITMAP = 20;
export const WORKER_TIES = 24;
export const WORKER_FAULT = 28;
export const WORKER_FAULT_SLOT = 32;
export const WORKER_FAULT_VALUE = 36;
export const WORKER_EXHAUSTED = 40;
export const WORKER_FENCE = 44;
export const WORKER_SCANNED = 48;
export const WORKER_GAVE_UP = 52;
export const WORKER_ORDER = 56;
export const WORKER_MODE = 60;
/** Walks in a mode up to this one read codes alone (codebook.ts). */
export const MODE_BY_CODES_MAX = 1;
export const WORKER_FIXED = 512;

// Result, in bytes: the distance's float32, the slot, the row's stamp when it was read, the code
// key.
export const RESULT_BYTES = 16;
export const RESULT_DISTANCE = 0;
export const RESULT_SLOT = 4;
export const RESULT_STAMP = 8;

// What the checker may find.
export const FAULT_NONE = 0;
export const FAULT_DEGREE = 1;
export const FAULT_LINK_BOUNDS = 2;
export const FAULT_SELF_LINK = 3;
export const FAULT_DUPLICATE_LINK = 4;
export const FAULT_LINK_UNLINKED = 5;
export const FAULT_LEVEL = 6;
export const FAULT_UPPER_BOUNDS = 7;
export const FAULT_ENTRY = 8;
export const FAULT_UNREACHABLE = 9;
export const FAULT_STAMP = 10;
export const FAULT_TAIL = 11;
export const FAULT_LINK_LEVEL = 12;
export const FAULT_LOCK = 13;
export const FAULT_SEQUENCE = 14;
export const FAULT_DEAD = 15;
export const FAULT_FREE = 16;
export const FAULT_COMPONENT = 17;
export const FAULT_UPPER_TWICE = 18;
export const FAULT_FLAGS = 19;
export const FAULT_BAY = 20;

// What a shard's ids and metadata are tried by when they come from a file, in bytes from wherever
// the host puts it in their memory. trial.ts draws it; it begins with the words heap, records,
// table, index, units of the heap, slots, positions, places of the index less one, then where the
// maps lie: a bit a slot, a row is there; a bit a slot, it is live and no id has claimed it yet; a
// bit for each unit of firstUnit..endUnit of the heap, something has claimed it.
export const TRIAL_FIRST_UNIT = 44;
export const TRIAL_END_UNIT = 48;
export const TRIAL_PROBES_LEFT = 52;
/** Counted on the way. */
export const TRIAL_LIVE = 56;
export const TRIAL_FILLED = 60;
export const TRIAL_FREE_RECORDS = 64;
/** The slot, position or size class that is wrong. */
export const TRIAL_PLACE = 68;
/** Bytes, as float64. */
export const TRIAL_ID_BYTES = 72;
export const TRIAL_METADATA_BYTES = 80;
export const TRIAL_FREE_BYTES = 88;
export const TRIAL_SEED = 96;
export const TRIAL_BYTES = 128;

// What the trial may find.
export const TRIAL_SOUND = 0;
export const TRIAL_NO_RECORD = 1;
export const TRIAL_RECORD_OUTSIDE = 2;
export const TRIAL_RECORD_HEADER = 3;
export const TRIAL_RECORD_OVERLAP = 4;
export const TRIAL_FREE_RECORD = 5;
export const TRIAL_POSITION = 6;
export const TRIAL_INDEX_ENTRY = 7;
export const TRIAL_NOT_FOUND = 8;
export const TRIAL_METADATA = 9;
export const TRIAL_ID = 10;
