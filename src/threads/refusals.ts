/** How snapshots are refused: a client hears of ids, never of paths. */
import { OmenError } from "../errors.ts";

export function taken(id: string): OmenError {
  return new OmenError("SNAPSHOT_EXISTS", `there is a snapshot ${id}`);
}

export const notFound = (id: string) =>
  new OmenError("SNAPSHOT_NOT_FOUND", `there is no snapshot ${id}`);

/** Of a list: a snapshot that was removed after its name was read is left out. */
export function orGone(error: unknown): undefined {
  if (error instanceof OmenError && error.code === "SNAPSHOT_NOT_FOUND") return undefined;
  throw error;
}

const NOT_OURS: ReadonlySet<string> = new Set(["CORRUPT_FILE", "UNSUPPORTED_FORMAT"]);

export function invalid(message: string, path: string): OmenError {
  return new OmenError("INVALID_SNAPSHOT", message.replaceAll(path, "the file"));
}

/** A file that is damaged, or of another format, is the client's here; paths are nobody's. */
export function asInvalid(error: unknown, path: string): unknown {
  if (!(error instanceof OmenError) || !NOT_OURS.has(error.code)) return error;
  return invalid(error.message, path);
}
