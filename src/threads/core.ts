/**
 * The writer's side of a database: its disk, its writer, and how what is on the disk comes into the
 * catalog. A server adds listeners to it (supervisor.ts), a program that holds a database itself a
 * gateway (inner.ts).
 */
import type { Logger } from "pino";
import type { Catalog } from "../collections/catalog.ts";
import type { Health } from "../collections/database.ts";
import type { Config } from "../config.ts";
import { Desk } from "../engine/desk.ts";
import { OmenError } from "../errors.ts";
import { type Files, NodeFiles } from "../storage/files.ts";
import { Archive, clearUploads } from "./archive.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { ControlMemory } from "./control.ts";
import { Disk } from "./disk.ts";
import { type Images, OwnImages } from "./images.ts";
import type { Answer, Notice, Request } from "./messages.ts";
import { take } from "./notices.ts";
import { Room } from "./room.ts";
import { loadCollections } from "./starting.ts";
import { Writer } from "./writer.ts";

export interface CoreParts {
  readonly config: Config;
  readonly desk: WebAssembly.Module;
  readonly log: Logger;
  /** Where the data path lies; Node's file system when left out. */
  readonly files?: Files;
}

export async function openDisk(
  parts: CoreParts,
  control: ControlMemory,
): Promise<Disk | undefined> {
  const { config, desk, log, files = new NodeFiles() } = parts;
  const { path, safety } = config;
  if (path === undefined) return undefined;
  const sums = new Desk(desk);
  const crc32c = (bytes: Uint8Array, seed?: number) => sums.crc32c(bytes, seed);
  return await Disk.open({ files, path, safety, crc32c, control, log });
}

const MINUTE_MS = 60_000;

/** How the main thread reaches the threads that follow it. */
interface Followers {
  announce(notice: Notice): Promise<void>;
  ring(): void;
  /** Who takes images; this thread itself when left out. */
  readonly images?: Images;
}

/** All that is left to do is to let somebody ask. */
export function createCore(
  parts: CoreParts,
  catalog: Catalog,
  workers: number,
  disk: Disk | undefined,
  { announce, ring, images }: Followers,
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
    const { control } = disk.options;
    const { variant } = catalog.thread;
    const { pause } = catalog.thread;
    const around = { variant, workers, shardRows, pause };
    await loadCollections({
      ...{ disk, catalog, room, log, announce, ring, onHealth: setHealth },
      around,
    });
    await clearUploads(disk);
    const painters = images ?? new OwnImages(disk.options.files, disk.crc32c);
    disk.archive = new Archive({
      ...{ catalog, disk, around, log, memoryBytesMax, announce, ring, images: painters },
      create: (name, settings) => writer.handle({ kind: "create", name, settings }),
      inLane: (name, work) => writer.inLane(name, work),
    });
    disk.checkpoints = new Checkpoints(
      {
        ...{ catalog, control, log, ring },
        images: painters,
        bytesMin: config.checkpointBytes,
        ageMsMax: config.checkpointMinutes * MINUTE_MS,
      },
      () => disk.journals(),
    );
    disk.onHealth = () => setHealth(disk.health());
    // Who hears from one listener that the server is ready may ask another one next.
    await announce({ kind: "health", health: { status: "starting", progress: 1, isLoaded: true } });
    disk.onHealth();
  }
  if (disk !== undefined) catalog.health = { status: "starting", progress: 0 };
  const ask = (request: Request) =>
    request.kind === "snapshot" ? askArchive(disk, request) : writer.handle(request);
  return { load, ask };
}

/** There is one once everything is loaded, and doors ask nothing before. */
async function askArchive(
  disk: Disk | undefined,
  request: Request & { kind: "snapshot" },
): Promise<Answer> {
  if (disk?.archive !== undefined) return disk.archive.handle(request);
  throw new OmenError("STARTING", "the collections are being loaded");
}
