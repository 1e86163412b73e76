/**
 * The main thread of a server: starts the others, carries their requests to the writer, and ends
 * them in order. It parses and searches nothing. A thread that dies takes the process down:
 * recovery brings back what was acknowledged, and a half-dead server would only hide the fault.
 *
 * With a data path the listeners answer from the first moment, that the server is starting, while
 * this thread fills the catalog.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { Catalog } from "../collections/catalog.ts";
import type { Config } from "../config.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";
import { ControlMemory } from "./control.ts";
import { type CoreParts, createCore, openDisk } from "./core.ts";
import { Crew, type Member } from "./crew.ts";
import type { Disk } from "./disk.ts";
import { WorkerImages } from "./images.ts";
import { linkBetweenEvents } from "./linking.ts";
import { createListener, whyNot } from "./listener.ts";
import { threadOf } from "./messages.ts";
import { type WatchedFiles, watchFiles } from "./watched.ts";
import { boundYoung } from "./young.ts";

export interface ServerParts extends CoreParts {
  readonly variant: Variant;
  readonly version: string;
  /** Called when a thread died: nothing more can be relied on. */
  onFatal(error: Error): void;
}

export interface RunningServer {
  readonly port: number;
  /** Kept when all collections are loaded; broken by what stands in the way. */
  readonly ready: Promise<void>;
  /** Reads the files of keys again now, and opens the audit log's file anew. */
  reload(): void;
  close(): Promise<void>;
}

export async function startServer(parts: ServerParts): Promise<RunningServer> {
  const control = new ControlMemory();
  const watched = watchFiles(parts.config, parts.log);
  let disk: Disk | undefined;
  try {
    disk = await openDisk(parts, control);
    const start = parts.config.threads === 1 ? startAlone : startThreads;
    return await start(parts, control, watched, disk);
  } catch (error) {
    watched.stop();
    await disk?.close();
    throw error;
  }
}

/** Everything in this one thread: rows are linked between events. */
async function startAlone(
  parts: ServerParts,
  control: ControlMemory,
  watched: WatchedFiles,
  disk: Disk | undefined,
): Promise<RunningServer> {
  const { config, variant } = parts;
  const catalog = new Catalog(threadOf(variant, 0));
  const linking = linkBetweenEvents(catalog);
  const { load, ask } = createCore(parts, catalog, 1, disk, {
    announce: async () => undefined,
    ring: linking.ring,
  });
  const { texts } = watched;
  const listener = createListener({ ...parts, texts, control, catalog, sharesPort: false, ask });
  watched.onChange = (changed) => listener.reload(changed);
  const port = await listener.listen(config.port);
  const unbind = boundYoung();
  return {
    port,
    ready: load(),
    reload() {
      watched.look();
      listener.reload();
    },
    async close() {
      unbind();
      watched.stop();
      linking.stop();
      await listener.close();
      await disk?.close();
    },
  };
}

async function startThreads(
  parts: ServerParts,
  control: ControlMemory,
  watched: WatchedFiles,
  disk: Disk | undefined,
): Promise<RunningServer> {
  const { config, variant } = parts;
  const listenerCount = process.platform === "linux" ? config.threads : 1;
  const workers = listenerCount + config.linkers + 1;
  const catalog = new Catalog(threadOf(variant, workers - 1));
  const crew = new Crew(parts, control, watched.texts);
  watched.onChange = (changed) => crew.reload(changed);
  const { load, ask } = createCore(parts, catalog, workers, disk, {
    announce: (notice) => crew.announce(notice),
    ring: () => control.ring(),
    images: disk && !parts.files ? new WorkerImages(crew.startImager(catalog.health)) : undefined,
  });
  crew.ask = ask;
  try {
    await refuseTakenPort(config);
    for (let index = 0; index < config.linkers; index++) {
      crew.start("linkerWorker", listenerCount + index, catalog.health);
    }
    const listeners: Member[] = [];
    for (let index = 0; index < listenerCount; index++) {
      listeners.push(crew.start("listenerWorker", index, catalog.health));
    }
    // All load at once; then the first listener finds the port, and the others share it.
    let port = config.port;
    for (const listener of listeners) port = await crew.listen(listener, port);
    return {
      port,
      ready: load(),
      reload() {
        watched.look();
        crew.reload();
      },
      async close() {
        watched.stop();
        await crew.close();
        await disk?.close();
        await crew.endImager();
      },
    };
  } catch (error) {
    await crew.end();
    await crew.endImager();
    throw error;
  }
}

/**
 * Threads share a port, and so could another server by mistake: whether it is free, only a lone
 * socket can tell.
 */
async function refuseTakenPort({ host, port }: Config): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  try {
    probe.listen({ host, port });
    await once(probe, "listening");
  } catch (cause) {
    throw new OmenError("INVALID_SETTING", whyNot(host, port, cause), { cause });
  }
  probe.close();
  await once(probe, "close");
}
