/** A collection's snapshot as a file, taken from a running server when its tail has settled. */
import { writeFileSync } from "node:fs";
import { type Connection, ok, pause } from "../test/server.ts";

const POLL_MS = 50;
const SNAPSHOTS = "/collections/default/snapshots";

export async function downloadSnapshot(
  connection: Connection,
  port: number,
  file: string,
): Promise<void> {
  while ((await ok(connection.get("/stats"))).unindexed > 0) await pause(POLL_MS);
  const own = await takeSnapshot(connection);
  const answer = await fetch(`http://127.0.0.1:${port}${own}/download`);
  if (!answer.ok) throw new Error(`${own} answered ${answer.status}`);
  writeFileSync(file, new Uint8Array(await answer.arrayBuffer()));
}

/** Resolves with its path when it is ready. */
export async function takeSnapshot(connection: Connection): Promise<string> {
  const { id } = await ok(connection.send("POST", SNAPSHOTS), 202);
  const own = `${SNAPSHOTS}/${id}`;
  for (;;) {
    const { status, ...rest } = await ok(connection.get(own));
    if (status === "ready") return own;
    if (status !== "creating")
      throw new Error(`the snapshot is ${status}: ${JSON.stringify(rest)}`);
    await pause(POLL_MS);
  }
}
