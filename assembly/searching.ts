/**
 * The engine for who only searches: what opening an image and searching it ask for, and nothing
 * that writes, links or repairs. It is built from the very same files (asconfig.search.json), so a
 * memory that it has loaded can be taken over by the whole engine as it lies.
 */
export {
  adoptEntries,
  adoptTables,
  beginEntries,
  checkChunk,
  checkIds,
  checkMetadata,
  checkRows,
  checkState,
  countPassing,
  countVisible,
  crc32c,
  crc32cInit,
  dotCodes,
  findText,
  format,
  formatColumns,
  headAddress,
  isStillVisible,
  pin,
  pinColumn,
  runColumns,
  scan,
  scanPassing,
  scanTies,
  search,
  searchFiltered,
  soundBytes,
  squaredCoarse,
  squaredCodes,
  tailLength,
  workerBase,
} from "./index";
