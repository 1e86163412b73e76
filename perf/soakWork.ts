/**
 * The work of a soak: clients read and write for as long as they are let, each on rows of its own, so
 * that a plain map says at any moment what the server must answer. Every answer is judged; what was
 * wrong is kept in words.
 */
import { type Connection, ok } from "../test/server.ts";
import type { Random } from "./random.ts";

export interface Tally {
  searches: number;
  /** Searches for a row's own vector that did not find the row first. */
  missed: number;
  reads: number;
  writes: number;
  deletes: number;
  /** Answers 429 and 503 that named a time to come back. */
  refused: number;
  /** What no promise explains. */
  readonly wrong: string[];
}

interface Known {
  readonly vector: Float32Array;
  readonly nonce: number;
}

const WRONG_MAX = 100;
const BATCH_ROWS_MAX = 20;
const COPY_ROWS = 500;
const SPREAD = 0.4;

export const newTally = (): Tally => ({
  ...{ searches: 0, missed: 0, reads: 0, writes: 0, deletes: 0, refused: 0 },
  wrong: [],
});

/** One client with its rows. */
export class Client {
  readonly rows = new Map<string, Known>();
  readonly #name: string;
  readonly #centres: readonly Float32Array[];
  readonly #rowsMax: number;
  readonly #random: Random;
  readonly #tally: Tally;
  #nonce = 0;

  constructor(
    name: string,
    centres: readonly Float32Array[],
    rowsMax: number,
    random: Random,
    tally: Tally,
  ) {
    this.#name = name;
    this.#centres = centres;
    this.#rowsMax = rowsMax;
    this.#random = random;
    this.#tally = tally;
  }

  /** Does one thing drawn at random, and judges the answer. */
  async turn(connection: Connection): Promise<void> {
    const isFull = this.rows.size >= this.#rowsMax;
    const draw = this.#random.next();
    if (this.rows.size === 0 || (draw < 0.15 && !isFull)) await this.#write(connection);
    else if (draw < 0.2) await this.#replace(connection);
    else if (draw < 0.27 && this.rows.size > this.#rowsMax / 2) await this.#remove(connection);
    else if (draw < 0.4) await this.read(connection, this.#drawId());
    else await this.#search(connection);
  }

  /** Fills up to the most rows it may have. */
  async fill(connection: Connection): Promise<void> {
    while (this.rows.size < this.#rowsMax) await this.#write(connection);
  }

  /** Asks for a row and compares it with what was written last. */
  async read(connection: Connection, id: string): Promise<void> {
    const { status, body, text } = await connection.get(`/vectors/${id}`);
    const known = this.rows.get(id)!;
    if (!this.#isServed(status)) return;
    this.#tally.reads++;
    if (status !== 200) this.#blame(`read ${id}: ${status} ${text}`);
    else if (body.metadata?.nonce !== known.nonce) {
      this.#blame(`read ${id}: write ${body.metadata?.nonce}, not ${known.nonce}`);
    } else if (body.vector.some((value: number, at: number) => value !== known.vector[at])) {
      this.#blame(`read ${id}: another vector than was written`);
    }
  }

  /** Writes all of its rows into another collection. */
  async copy(connection: Connection, collection: string): Promise<void> {
    const rows = [...this.rows];
    for (let at = 0; at < rows.length; at += COPY_ROWS) {
      const vectors = rows
        .slice(at, at + COPY_ROWS)
        .map(([id, { vector }]) => ({ id, vector: Array.from(vector) }));
      await ok(connection.post(`${collection}/vectors/batch`, { vectors }));
    }
  }

  /** How many of its rows are not the first that a search for their own vector finds. */
  async missed(connection: Connection, collection: string): Promise<number> {
    let missed = 0;
    for (const { vector } of this.rows.values()) {
      const body = { vector: Array.from(vector), k: 10 };
      const { results } = await ok(connection.post(`${collection}/search`, body));
      if (results[0]?.distance !== 0) missed++;
    }
    return missed;
  }

  async #write(connection: Connection): Promise<void> {
    const count = 1 + this.#random.integer(BATCH_ROWS_MAX);
    const written = Array.from({ length: count }, () => this.#draw());
    const ids = written.map(({ nonce }) => `${this.#name}-${nonce}`);
    await this.#send(connection, ids, written);
  }

  async #replace(connection: Connection): Promise<void> {
    await this.#send(connection, [this.#drawId()], [this.#draw()]);
  }

  async #send(connection: Connection, ids: readonly string[], rows: readonly Known[]) {
    const vectors = ids.map((id, at) => {
      const { vector, nonce } = rows[at]!;
      return { id, vector: Array.from(vector), metadata: { nonce, client: this.#name } };
    });
    const { status, text } = await connection.post("/vectors/batch", { vectors });
    if (!this.#isServed(status)) return;
    if (status !== 200) return this.#blame(`write ${ids[0]}: ${status} ${text}`);
    this.#tally.writes += ids.length;
    for (const [at, id] of ids.entries()) this.rows.set(id, rows[at]!);
  }

  async #remove(connection: Connection): Promise<void> {
    const id = this.#drawId();
    const { status, body, text } = await connection.send("DELETE", `/vectors/${id}`);
    if (!this.#isServed(status)) return;
    this.#tally.deletes++;
    this.rows.delete(id);
    if (status !== 200 || body.deleted !== 1) this.#blame(`delete ${id}: ${status} ${text}`);
    const gone = await connection.get(`/vectors/${id}`);
    if (this.#isServed(gone.status) && gone.status !== 404) {
      this.#blame(`read ${id} after its delete: ${gone.status}`);
    }
  }

  /** A row's own vector should find the row first. */
  async #search(connection: Connection): Promise<void> {
    const id = this.#drawId();
    const { vector } = this.rows.get(id)!;
    const body = { vector: Array.from(vector), k: 10 };
    const { status, body: found, text } = await connection.post("/search", body);
    if (!this.#isServed(status)) return;
    this.#tally.searches++;
    if (status !== 200) this.#blame(`search for ${id}: ${status} ${text}`);
    else if (found.results[0]?.distance !== 0) this.#tally.missed++;
  }

  #isServed(status: number): boolean {
    if (status !== 429 && status !== 503) return true;
    this.#tally.refused++;
    return false;
  }

  #blame(what: string): void {
    if (this.#tally.wrong.length < WRONG_MAX) this.#tally.wrong.push(what);
  }

  #draw(): Known {
    const centre = this.#centres[this.#random.integer(this.#centres.length)]!;
    const vector = centre.map((value) => value + SPREAD * this.#random.normal());
    return { vector, nonce: ++this.#nonce };
  }

  #drawId(): string {
    const at = this.#random.integer(this.rows.size);
    let index = 0;
    for (const id of this.rows.keys()) if (index++ === at) return id;
    throw new Error("no row to draw");
  }
}
