/** The HTTP room alone: the real app and body reader on a free port, over the plain database. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { Access, type AccessTexts } from "../src/access/access.ts";
import { readConfig } from "../src/config.ts";
import { Desk } from "../src/engine/desk.ts";
import { createApp } from "../src/http/app.ts";
import { createAudit } from "../src/http/audit.ts";
import { Backlog } from "../src/http/backlog.ts";
import { BodyReader } from "../src/http/body.ts";
import { createHttpServer } from "../src/http/server.ts";
import { ControlMemory } from "../src/threads/control.ts";
import { deskModule } from "./deskModule.ts";
import { MemoryDatabase } from "./memoryDatabase.ts";
import { type Connection, connect } from "./server.ts";

export interface OpenDoor {
  readonly port: number;
  readonly database: MemoryDatabase;
  readonly control: ControlMemory;
  readonly access: Access;
  /** Lines of the log, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into lines of every shape
  readonly lines: any[];
  connect(headers?: Record<string, string>): Connection;
  close(deadlineMs?: number): Promise<number>;
}

const doors = new Set<OpenDoor>();

/** `settings` are without their prefix. Several doors may share one control and one database. */
export async function openDoor(
  settings: Record<string, string | number> = {},
  shared: { database?: MemoryDatabase; control?: ControlMemory; texts?: AccessTexts } = {},
): Promise<OpenDoor> {
  const named = Object.entries(settings).map(([name, value]) => [`OMENDB_${name}`, `${value}`]);
  const config = readConfig(Object.fromEntries(named));
  const database = shared.database ?? new MemoryDatabase();
  const control = shared.control ?? new ControlMemory();
  const lines: unknown[] = [];
  const log = pino({ level: config.logLevel }, { write: (line) => lines.push(JSON.parse(line)) });
  const bodies = new BodyReader(new Desk(deskModule()), {
    bytesMax: config.bodyBytesMax,
    gatheredBytesMax: 4 * config.bodyBytesMax,
    totalMs: config.requestTimeoutMs,
  });
  const access = new Access(config, shared.texts);
  const audit = createAudit(config, log);
  const backlog = new Backlog(control, config.scanWaitMs);
  const around = { access, audit, backlog, bodies, config, control, database, log };
  const app = createApp({ ...around, version: "0.0.0-test" });
  const { server, close } = createHttpServer(app, config);
  server.on("connection", () => backlog.connected());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connections: Connection[] = [];
  const door: OpenDoor = {
    ...{ port, database, control, lines, access },
    connect: (headers) => {
      const connection = connect(port, headers);
      connections.push(connection);
      return connection;
    },
    close: (deadlineMs = 1000) => {
      doors.delete(door);
      const closing = close(deadlineMs);
      for (const connection of connections) connection.close();
      return closing;
    },
  };
  doors.add(door);
  return door;
}

/** What a test left open. */
export async function closeDoors(): Promise<void> {
  await Promise.all([...doors].map((door) => door.close(0)));
}
