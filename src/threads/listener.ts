/**
 * A listener: the HTTP app over this thread's own instances of the engine. It reads in place and
 * never waits on a lock; what it writes it asks of the writer. This is the way a listener is put
 * together, in a worker or in the only thread.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { Access } from "../access/access.ts";
import type { Catalog } from "../collections/catalog.ts";
import type { Config } from "../config.ts";
import { Desk } from "../engine/desk.ts";
import { OmenError } from "../errors.ts";
import { createApp } from "../http/app.ts";
import { createAudit } from "../http/audit.ts";
import { Backlog } from "../http/backlog.ts";
import { BodyReader } from "../http/body.ts";
import { watchLag } from "../http/metrics.ts";
import { createHttpServer } from "../http/server.ts";
import type { ControlMemory } from "./control.ts";
import { Gateway } from "./gateway.ts";
import type { Answer, Request } from "./messages.ts";
import type { WatchedTexts } from "./watched.ts";

/** Of all bodies that one thread gathers at a time, in largest bodies. */
const GATHERED_BODIES = 8;
/** Connections that the kernel keeps until the event loop takes them up, if the kernel lets us. */
const CONNECTIONS_WAITING = 4096;

export interface ListenerParts {
  readonly config: Config;
  readonly control: ControlMemory;
  readonly catalog: Catalog;
  readonly desk: WebAssembly.Module;
  readonly version: string;
  readonly log: Logger;
  readonly texts: WatchedTexts;
  /** Whether other threads listen on the same port. */
  readonly sharesPort: boolean;
  ask(request: Request): Promise<Answer>;
}

export interface Listener {
  /** Resolves with the port once connections are accepted; 0 takes a free one. */
  listen(port: number): Promise<number>;
  /**
   * Stops accepting and finishes what is in flight; resolves with the connections that had to be
   * cut.
   */
  close(): Promise<number>;
  /** Takes changed texts of files up, and opens the files it writes anew. */
  reload(texts?: WatchedTexts): void;
}

export function createListener(parts: ListenerParts): Listener {
  const { config, control, catalog, desk, version, log, ask } = parts;
  const database = new Gateway({ catalog, config, control, ask });
  const bodies = new BodyReader(new Desk(desk), {
    bytesMax: config.bodyBytesMax,
    gatheredBytesMax: config.bodyBytesMax * GATHERED_BODIES,
    totalMs: config.requestTimeoutMs,
  });
  const access = new Access(config, parts.texts);
  const audit = createAudit(config, log);
  const backlog = new Backlog(control, config.scanWaitMs);
  const around = { access, audit, backlog, bodies, config, control, database, log, version };
  const { server, setTls, close } = createHttpServer(createApp(around), config, parts.texts.tls);
  server.on("connection", () => backlog.connected());
  const unwatch = watchLag(control, catalog.thread.worker);

  async function listen(port: number): Promise<number> {
    const { host } = config;
    try {
      server.listen({ host, port, reusePort: parts.sharesPort, backlog: CONNECTIONS_WAITING });
      await once(server, "listening");
    } catch (cause) {
      throw new OmenError("INVALID_SETTING", whyNot(host, port, cause), { cause });
    }
    return (server.address() as AddressInfo).port;
  }

  return {
    listen,
    reload(texts = {}) {
      access.take(texts);
      if (texts.tls !== undefined) setTls(texts.tls);
      audit.reopen();
    },
    close() {
      unwatch();
      return close(config.shutdownMs);
    },
  };
}

/** Says in words why a port could not be had. */
export function whyNot(host: string, port: number, cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  const where = `${host}:${port}`;
  if (code === "EADDRINUSE") {
    return `cannot listen on ${where}: another process does; choose another OMENDB_PORT`;
  }
  if (code === "EACCES") return `cannot listen on ${where}: this user may not take that port`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
    return `cannot listen on ${where}: this machine has no such address; check OMENDB_HOST`;
  }
  return `cannot listen on ${where}: ${message}`;
}
