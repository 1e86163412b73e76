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
import type { Logger } from "pino";
import { Catalog } from "../collections/catalog.ts";
import type { Health } from "../collections/database.ts";
import type { Config } from "../config.ts";
import { Desk } from "../engine/desk.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";
import { type Files, NodeFiles } from "../storage/files.ts";
import { ControlMemory } from "./control.ts";
import { Crew, type Member } from "./crew.ts";
import { Disk } from "./disk.ts";
import { linkRound } from "./linking.ts";
import { createListener, whyNot } from "./listener.ts";
import { type Notice, type Request, threadOf } from "./messages.ts";
import { take } from "./notices.ts";
import { Room } from "./room.ts";
import { loadCollections } from "./starting.ts";
import { type WatchedFiles, watchFiles } from "./watched.ts";
import { Writer } from "./writer.ts";

export interface ServerParts {
  readonly config: Config;
  readonly variant: Variant;
  readonly desk: WebAssembly.Module;
  readonly version: string;
  readonly log: Logger;
  /** Where the data path lies; Node's file system when left out. */
  readonly files?: Files;
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

/** Without other threads: rows linked before the next event. */
const INLINE_ROWS = 32;
/** What is left for quieter times, as repairs are, is looked for this often. */
const LOOK_MS = 1000;

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

async function openDisk(parts: ServerParts, control: ControlMemory): Promise<Disk | undefined> {
  const { config, desk, log, files = new NodeFiles() } = parts;
  const { path, safety } = config;
  if (path === undefined) return undefined;
  const sums = new Desk(desk);
  const crc32c = (bytes: Uint8Array, seed?: number) => sums.crc32c(bytes, seed);
  return await Disk.open({ files, path, safety, crc32c, control, log });
}

/** How the main thread reaches the threads that follow it. */
interface Followers {
  announce(notice: Notice): Promise<void>;
  ring(): void;
}

/** The writer's side of a server: all that is left to do is to let listeners ask. */
function createCore(
  parts: ServerParts,
  catalog: Catalog,
  workers: number,
  disk: Disk | undefined,
  { announce, ring }: Followers,
) {
  const { config, log } = parts;
  const shardRows = config.shardRows ?? Number.MAX_SAFE_INTEGER;
  const room = new Room({ catalog, workers, shardRows, announce });
  const { memoryBytesMax } = config;
  const writer = new Writer({ catalog, room, keeper: disk, memoryBytesMax, announce, ring });

  function setHealth(health: Health): void {
    const notice: Notice = { kind: "health", health };
    take(catalog, notice);
    void announce(notice);
  }

  async function load(): Promise<void> {
    if (disk === undefined) return;
    await loadCollections({ disk, catalog, room, log, announce, ring, onHealth: setHealth });
    disk.onHealth = () => setHealth(disk.health());
    disk.onHealth();
  }
  if (disk !== undefined) catalog.health = { status: "starting", progress: 0 };
  return { load, ask: (request: Request) => writer.handle(request) };
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
  let isLinking = false;

  function link(): void {
    isLinking = linkRound(catalog, INLINE_ROWS) !== "idle";
    if (isLinking) setImmediate(link);
  }
  const look = setInterval(() => {
    if (!isLinking) link();
  }, LOOK_MS).unref();
  const { load, ask } = createCore(parts, catalog, 1, disk, {
    announce: async () => undefined,
    ring() {
      if (isLinking) return;
      isLinking = true;
      setImmediate(link);
    },
  });
  const { texts } = watched;
  const listener = createListener({ ...parts, texts, control, catalog, sharesPort: false, ask });
  watched.onChange = (changed) => listener.reload(changed);
  const port = await listener.listen(config.port);
  return {
    port,
    ready: load(),
    reload() {
      watched.look();
      listener.reload();
    },
    async close() {
      watched.stop();
      clearInterval(look);
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
      },
    };
  } catch (error) {
    await crew.end();
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
