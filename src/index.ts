/** `import { open } from "omendb-server"`: the database inside a program, without HTTP. */
export type * from "./client/types.ts";
export type { Collection, Conditional } from "./embedded/collection.ts";
export { type OpenDatabase, type OpenOptions, open } from "./embedded/open.ts";
export { type ErrorCode, OmenError } from "./errors.ts";
