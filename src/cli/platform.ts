/** What the program stands on: a Node that can run it, and its own name and version. */
import { readFileSync } from "node:fs";

const NODE_MAJOR_MIN = 24;

/** Imports nothing of ours, so that it runs where the rest would not load. */
export function refuseOldNode(): void {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= NODE_MAJOR_MIN) return;
  const message = `Node ${NODE_MAJOR_MIN} or newer is needed, this is ${node}`;
  process.stderr.write(`omendb: ${message}; in a checkout npm start brings its own\n`);
  process.exit(1);
}

export function readVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
