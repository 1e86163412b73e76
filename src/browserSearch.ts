/**
 * `omendb-server/browser/search`: a server's snapshot, opened and searched in a page, with the
 * least that comes off the network for it. `omendb-server/browser` does the same and more.
 *
 *   const rows = await open({ url: "/collections/default/snapshots/x/download" });
 *   const { results } = await rows.search({ vector, k: 10, filter: { kind: "play" } });
 *   const far = await open({ url, vectors: "ranges" });    // float32 by range, when measured
 *   const more = await rows.writable();    // fetches the rest; then more.add(...), more.save(...)
 */
export type { Progress, SourceOptions } from "./browser/opening.ts";
export { open, type SearchCollection, type SearchOptions } from "./browser/searching.ts";
export type * from "./client/types.ts";
export { type ErrorCode, OmenError } from "./errors.ts";
