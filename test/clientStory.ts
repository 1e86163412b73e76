/**
 * What the client does against a real server, told once and played in Node and in a browser: it
 * imports the client alone, and says what went wrong by throwing.
 */
import type { Client, RowToAdd } from "../src/client/index.ts";

type Chapter = (client: Client, name: string) => Promise<void>;

function same(got: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

interface Refusal extends Error {
  readonly code: string;
  readonly errors: readonly { readonly pointer: string }[];
  readonly requestId?: string;
}

async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Error && "code" in error) return error as Error as Refusal;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

/** Components that float32 holds exactly, so that what comes back is what went out. */
const rowAt = (index: number): RowToAdd => ({
  id: `row-${index}`,
  vector: [index, index / 2, -index, 0.25],
  metadata: { index, parity: index % 2 === 0 ? "even" : "odd" },
});

async function* rowsUpTo(count: number): AsyncGenerator<RowToAdd> {
  for (let index = 0; index < count; index++) yield rowAt(index);
}

export const CHAPTERS: Readonly<Record<string, Chapter>> = {
  "makes, lists, describes and drops a collection": async (client, name) => {
    const made = await client.createCollection(name, { dimensions: 4, metric: "cosine" });
    same(made.name, name, "name");
    same((await client.describeCollection(name))?.metric, "cosine", "metric");
    const listed = (await client.collections()).map((each) => each.name);
    same(listed.includes(name), true, "listed");
    const other = await refusalOf(client.createCollection(name, { dimensions: 5 }));
    same(other.code, "COLLECTION_EXISTS", "other settings");
    same(await client.dropCollection(name), true, "dropped");
    same(await client.dropCollection(name), false, "dropped again");
    same(await client.describeCollection(name), undefined, "gone");
  },

  "writes rows and reads them back as they were": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    const vector = new Float32Array([0.1, -1e-20, 3.5e7, -0]);
    const { sequence } = await rows.add({ id: "näïve/..id", vector, metadata: { a: [1, null] } });
    const row = await rows.get("näïve/..id");
    same([...row!.vector!], [...vector], "vector");
    same(row!.metadata, { a: [1, null] }, "metadata");
    same(row!.version, sequence, "version");
    same((await rows.batch([rowAt(1), rowAt(2)])).count, 2, "batch");
    same(await rows.get("nowhere"), undefined, "missing");
    const got = await rows.getMany(["row-2", "nowhere"], { include_vector: false });
    same([got[0]!.id, got[0]!.vector, got[1]], ["row-2", undefined, null], "many");
    same((await rows.delete("row-1")).deleted, 1, "deleted");
    same((await rows.delete("..")).deleted, 0, "a step of a path is an id like others");
    same((await rows.deleteMany({ ids: ["row-2", "row-3"] })).deleted, 1, "deleted many");
    same((await rows.stats()).vectors, 1, "left");
    same(await rows.count(), 1, "counted");
    same(await rows.count({ nothing: 1 }), 0, "counted by a filter");
    same((await rows.deleteMany({ filter: { nothing: 1 } })).deleted, 0, "none deleted");
    same((await rows.deleteMany({ filter: {} })).deleted, 1, "deleted by a filter");
  },

  "changes a part of a row, and only the version that was meant": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    const first = await rows.add(rowAt(1));
    const second = await rows.patch("row-1", { metadata: { parity: null, fresh: true } });
    same((await rows.get("row-1"))!.metadata, { index: 1, fresh: true }, "merged");
    const late = { ifMatch: first.sequence };
    const tooLate = await refusalOf(rows.patch("row-1", { vector: [1, 2, 3, 4] }, late));
    same(tooLate.code, "PRECONDITION_FAILED", "late");
    same((await refusalOf(rows.delete("row-1", late))).code, "PRECONDITION_FAILED", "late delete");
    await rows.patch("row-1", { vector: [1, 2, 3, 4] }, { ifMatch: second.sequence });
    same([...(await rows.get("row-1"))!.vector!], [1, 2, 3, 4], "vector");
    const exists = await refusalOf(rows.batch([rowAt(1), rowAt(2)], { mode: "insert" }));
    same([exists.code, (await rows.stats()).vectors], ["ROW_EXISTS", 1], "insert");
  },

  "searches, one or many": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    await rows.batch(Array.from({ length: 50 }, (_, index) => rowAt(index)));
    const { results, took_ms } = await rows.search({
      ...{ vector: rowAt(7).vector, k: 2, include_vector: true },
      filter: { parity: "odd" },
    });
    same(typeof took_ms, "number", "took_ms");
    same(results.map(({ id }) => id).slice(0, 1), ["row-7"], "nearest");
    same([...results[0]!.vector!], [...(rowAt(7).vector as number[])], "its vector");
    same(results[0]!.metadata, rowAt(7).metadata, "its metadata");
    const many = await rows.searchBatch([3, 4].map((at) => ({ vector: rowAt(at).vector, k: 1 })));
    same(
      many.results.map(([hit]) => hit!.id),
      ["row-3", "row-4"],
      "many",
    );
  },

  "scrolls through all rows, each once": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    await rows.batch(Array.from({ length: 250 }, (_, index) => rowAt(index)));
    const found = new Map<string, number[]>();
    for await (const { id, vector } of rows.scroll({ limit: 100 })) found.set(id, [...vector!]);
    same(found.size, 250, "rows");
    same(found.get("row-77"), rowAt(77).vector, "a row's vector");
    let odd = 0;
    for await (const row of rows.scroll({ filter: { parity: "odd" }, include_vector: false })) {
      odd += row.vector === undefined ? 1 : 1000;
    }
    same(odd, 125, "those that pass the filter, without vectors");
  },

  "counts and deletes by a filter": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    await rows.batch(Array.from({ length: 30 }, (_, index) => rowAt(index)));
    same([await rows.count(), await rows.count({ parity: "odd" })], [30, 15], "counted");
    const { deleted } = await rows.deleteMany({ filter: { index: { $gte: 20 } } });
    same([deleted, await rows.count()], [10, 20], "deleted");
    const target = await rows.search({ vector: rowAt(3).vector, k: 1, recall_target: 0.95 });
    same(target.results[0]!.id, "row-3", "by a recall");
    const both = { vector: rowAt(3).vector, ef: 50, recall_target: 0.95 };
    same((await refusalOf(rows.search(both))).code, "INVALID_REQUEST", "ef and recall_target");
  },

  "says what was refused by code and place": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    const wrong = await refusalOf(rows.search({ vector: [1, 2] }));
    same(wrong.code, "DIMENSION_MISMATCH", "dimensions");
    same(wrong.errors[0]!.pointer, "/vector", "pointer");
    const missing = await refusalOf(client.collection(`${name}-missing`).search({ vector: [1] }));
    same(missing.code, "COLLECTION_NOT_FOUND", "collection");
    const infinite = await refusalOf(rows.add({ id: "x", vector: [1, 2, 3, 1e39] }));
    same(infinite.code, "INVALID_VECTOR", "infinite");
    same((await rows.stats()).vectors, 0, "nothing written");
  },

  "uploads from an iterable and tells how far it is": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    const inOrder: number[] = [];
    const { rows: count, batches } = await rows.upload(rowsUpTo(1050), {
      ...{ batchRows: 100, concurrency: 3 },
      onProgress: ({ rowsInOrder }) => inOrder.push(rowsInOrder),
    });
    same([count, batches], [1050, 11], "uploaded");
    same(inOrder.at(-1), 1050, "in order");
    same(
      inOrder.toSorted((a, b) => a - b),
      inOrder,
      "never back",
    );
    same((await rows.stats()).vectors, 1050, "there");
  },

  "stops an upload at its first refusal": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    async function* spoiled() {
      yield* rowsUpTo(250);
      yield { id: "bad", vector: [1] };
      throw new Error("no more rows should be asked for");
    }
    let acknowledged = 0;
    const refused = await refusalOf(
      rows.upload(spoiled(), {
        ...{ batchRows: 251, concurrency: 1 },
        onProgress: (progress) => (acknowledged = progress.rowsInOrder),
      }),
    );
    same(refused.code, "DIMENSION_MISMATCH", "refused");
    same([acknowledged, (await rows.stats()).vectors], [0, 0], "a batch is whole or not at all");
  },

  "can be called off": async (client, name) => {
    const rows = await client.createCollection(name, { dimensions: 4 });
    const calledOff = new AbortController();
    calledOff.abort(new Error("called off"));
    const { signal } = calledOff;
    const thrown = await rows.search({ vector: rowAt(1).vector }, { signal }).catch((e) => e);
    same((thrown as Error).message, "called off", "search");
    const upload = await rows.upload(rowsUpTo(10), { signal }).catch((e) => e);
    same((upload as Error).message, "called off", "upload");
  },

  "asks how the server is": async (client) => {
    same((await client.health()).status, "healthy", "health");
    same([await client.isReady(), await client.isAlive()], [true, true], "ready and alive");
    same((await client.openapi()).openapi, "3.1.0", "openapi");
    same(/omendb_/.test(await client.metrics()), true, "metrics");
  },
};
