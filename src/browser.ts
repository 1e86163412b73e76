/**
 * `omendb-server/browser`: a server's snapshot, opened and searched in a page. The engine is the
 * server's own; so are the rows, the filters and the answers.
 *
 *   const rows = await open({ url: "/collections/default/snapshots/x/download" });
 *   const { results } = await rows.search({ vector, k: 10, filter: { kind: "play" } });
 */
export { adopt, type NewCollection, type OpenOptions, open } from "./browser/open.ts";
export type { Progress } from "./browser/opening.ts";
export { PageCollection, type SaveOptions } from "./browser/page.ts";
export { openInWorker, type WorkerCollection } from "./browser/remote.ts";
export { forget, isStored } from "./browser/stored.ts";
export type * from "./client/types.ts";
export { type ErrorCode, OmenError } from "./errors.ts";
