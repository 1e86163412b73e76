/**
 * A database inside the program that holds it: the writer's side and a gateway in this very thread,
 * no listener. Rows are linked between events, or by linkers of its own.
 */

import { Catalog } from "../collections/catalog.ts";
import type { Database } from "../collections/database.ts";
import { ControlMemory } from "./control.ts";
import { createCore, openDisk } from "./core.ts";
import { Crew } from "./crew.ts";
import { Gateway } from "./gateway.ts";
import { linkBetweenEvents } from "./linking.ts";
import { threadOf } from "./messages.ts";
import type { ServerParts } from "./supervisor.ts";

export interface InnerDatabase {
  readonly database: Database;
  close(): Promise<void>;
}

/**
 * `linkers` threads besides this one, 0 for none. Resolves when every collection is loaded. Throws
 * what a start of a server throws.
 */
export async function openInner(parts: ServerParts, linkers: number): Promise<InnerDatabase> {
  const { config, variant } = parts;
  const control = new ControlMemory();
  const crew = new Crew(parts, control, {});
  const workers = linkers + 1;
  const catalog = new Catalog(threadOf(variant, linkers));
  const disk = await openDisk(parts, control);
  try {
    const linking = linkers === 0 ? linkBetweenEvents(catalog) : undefined;
    const ring = linking?.ring ?? (() => control.ring());
    const announce: Crew["announce"] = (notice) => crew.announce(notice);
    const { load, ask } = createCore(parts, catalog, workers, disk, { announce, ring });
    crew.ask = ask;
    for (let index = 0; index < linkers; index++) {
      crew.start("linkerWorker", index, catalog.health);
    }
    await load();
    return {
      database: new Gateway({ catalog, config, control, ask }),
      async close() {
        linking?.stop();
        await crew.close();
        await disk?.close();
      },
    };
  } catch (error) {
    await crew.end();
    await disk?.close();
    throw error;
  }
}
