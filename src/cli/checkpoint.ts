/**
 * How far an export or an import is, in a small file beside the data, so that the same command goes
 * on where it was broken off. A file of another command, of other data or of another target is not
 * taken for its own.
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";

/** Between two notes of how far it is. */
const NOTE_MS = 1000;

export class Checkpoint<State extends object> {
  readonly path: string;
  readonly #identity: string;
  #notedAtMs = 0;

  /** `identity` is all that has to be the same for going on. */
  constructor(path: string, identity: object) {
    this.path = path;
    this.#identity = JSON.stringify(identity);
  }

  /** undefined where there is nothing to go on with. */
  async read(): Promise<State | undefined> {
    const text = await readFile(this.path, "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      const { identity, state } = JSON.parse(text) as { identity: unknown; state: State };
      return JSON.stringify(identity) === this.#identity ? state : undefined;
    } catch {
      return undefined;
    }
  }

  get isDue(): boolean {
    return performance.now() - this.#notedAtMs >= NOTE_MS;
  }

  async write(state: State): Promise<void> {
    this.#notedAtMs = performance.now();
    const text = JSON.stringify({ identity: JSON.parse(this.#identity), state });
    await writeFile(`${this.path}.aside`, text);
    await rename(`${this.path}.aside`, this.path);
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}
