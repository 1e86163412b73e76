/** How a thread that follows the writer takes up a change of the catalog. */
import type { Catalog } from "../collections/catalog.ts";
import { letGo } from "./garbage.ts";
import type { Notice } from "./messages.ts";

export function take(catalog: Catalog, notice: Notice): void {
  const isReplaced = notice.kind === "attach" && catalog.get(notice.parts.name) !== undefined;
  if (isReplaced || notice.kind === "detach") letGo();
  if (notice.kind === "attach") catalog.attach(notice.parts);
  else if (notice.kind === "attachShard") catalog.attachShard(notice.name, notice.memories);
  else if (notice.kind === "detach") catalog.detach(notice.name);
  else catalog.health = notice.health;
}
