/** Export and import, each command in a process of its own, against a server and a data path. */
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { open } from "omendb-server";
import { connect, type Row } from "../src/client/index.ts";
import { beginCommand, runCommand } from "./command.ts";
import { freePort, type Server, startServer } from "./server.ts";

const ROWS = 2500;
const DIMENSIONS = 5;
const FORMATS = ["ndjson", "npy", "fvecs", "bvecs", "parquet"];

const rowAt = (index: number) => ({
  id: index % 7 === 0 ? `line\nbreak "${index}"` : `row-${index}`,
  vector: Array.from({ length: DIMENSIONS }, (_, i) => (index * (i + 1)) % 251),
  ...(index % 3 === 0 ? {} : { metadata: { index, even: index % 2 === 0, text: "é\u2028" } }),
});

async function contentOf(rows: AsyncIterable<Row>): Promise<Map<string, unknown>> {
  const content = new Map<string, unknown>();
  for await (const { id, vector, metadata } of rows) content.set(id, [[...vector!], metadata]);
  return content;
}

describe("omendb export and import", () => {
  let server: Server;
  let folder: string;
  let expected: Map<string, unknown>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-cli-data-"));
    server = await startServer({ LOG_LEVEL: "silent", API_KEY: "secret" });
    const rows = await client().createCollection("source", { dimensions: DIMENSIONS });
    await rows.batch(Array.from({ length: ROWS }, (_, index) => rowAt(index)));
    expected = await contentOf(rows.scroll());
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const url = () => `http://127.0.0.1:${server.port}`;
  const client = () => connect(url(), { apiKey: "secret" });
  const omendb = (...words: string[]) =>
    runCommand(words, { OMENDB_URL: url(), OMENDB_API_KEY: "secret" }, folder);
  const done = async (...words: string[]) => {
    const { code, stdout, stderr } = await omendb(...words, "--json");
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout);
  };

  for (const format of FORMATS) {
    it(`carries every row through .${format} and back`, async () => {
      const file = `all.${format}`;
      const exported = await done("export", file, "--collection", "source");
      expect(exported).to.include({ rows: ROWS, format: `.${format}` });
      expect((await readdir(folder)).filter((name) => name.includes(".part"))).to.deep.equal([]);
      const imported = await done("import", file, "--collection", `from-${format}`);
      expect(imported).to.include({ rows: ROWS, resumed_after: 0 });
      const there = await contentOf(client().collection(`from-${format}`).scroll());
      expect(there.size).to.equal(ROWS);
      for (const [id, content] of expected) expect(there.get(id), id).to.deep.equal(content);
      expect((await readdir(folder)).filter((name) => /import\.json/.test(name))).to.deep.equal([]);
    });
  }

  it("reads and writes a data path that no server holds", async () => {
    await done("import", "all.ndjson", "--path", "data", "--metric", "dot");
    const again = await done("export", "again.npy", "--path", "data");
    expect(again.rows).to.equal(ROWS);
    const held = await open(join(folder, "data"));
    try {
      expect((await held.describeCollection("default"))!.metric).to.equal("dot");
      const busy = await omendb("export", "busy.npy", "--path", "data");
      expect(busy.code).to.equal(1);
      expect(busy.stderr).to.match(/data path .* is held by another process/);
    } finally {
      await held.close();
    }
  });

  it("exports what a filter passes, and replaces a file only when told to", async () => {
    const filter = '{"even": true}';
    const words = ["export", "even.ndjson", "--collection", "source", "--filter", filter];
    const { rows } = await done(...words);
    const passing = [...expected.values()].filter(
      (row) => ((row as unknown[])[1] as { even?: boolean } | null)?.even,
    );
    expect(rows).to.equal(passing.length);
    const refused = await omendb(...words);
    expect([refused.code, refused.stderr]).to.deep.equal([
      ...[2, "omendb: even.ndjson is there already; --force replaces it\n"],
    ]);
    await done(...words, "--force");
  });

  it("goes on with an import where it was broken off", async () => {
    const file = join(folder, "long.ndjson");
    const lines = Array.from({ length: 40_000 }, (_, id) =>
      JSON.stringify({ id, vector: [id, 1, 2, 3, 4] }),
    );
    lines[39_000] = '{"id": "broken", "vector": [1]}';
    await writeFile(file, lines.join("\n"));
    const words = ["import", "long.ndjson", "--collection", "long", "--batch-rows", "500"];
    const first = await omendb(...words);
    expect(first.code).to.equal(1);
    expect(first.stderr).to.match(/row "broken".*expected 5 dimensions, got 1/);
    const [, written] = /(\d+) rows are written; the same command goes on/.exec(first.stderr)!;
    expect(Number(written)).to.be.within(20_000, 39_000);
    expect((await client().collection("long").stats()).vectors).to.be.at.least(Number(written));
    const state = JSON.parse(await readFile(`${file}.import.json`, "utf8"));
    expect(state.state.rows).to.equal(Number(written));
    // Another file is not taken for the rest of the first.
    lines[39_000] = '{"id": "mended", "vector": [1, 1, 1, 1, 1]}';
    await writeFile(file, lines.join("\n"));
    const whole = await done(...words);
    expect(whole).to.include({ rows: 40_000, resumed_after: 0 });
    expect((await client().collection("long").stats()).vectors).to.equal(40_000);
  });

  it("stops in order at Ctrl-C, and goes on after it", async () => {
    const file = join(folder, "stopped.ndjson");
    const text = Array.from({ length: 150_000 }, (_, id) => `{"id":${id},"vector":[${id},1]}`);
    await writeFile(file, text.join("\n"));
    const words = ["import", file, "--collection", "stopped", "--batch-rows", "200"];
    const environment = { OMENDB_URL: url(), OMENDB_API_KEY: "secret" };
    const child = beginCommand(words, environment, folder);
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
    const ended = once(child, "close");
    const rows = client().collection("stopped");
    const count = async () => (await rows.stats().catch(() => ({ vectors: 0 }))).vectors;
    // Well past the first batches, whose answers the command may not have read yet.
    while ((await count()) < 10_000 && child.exitCode === null) {}
    child.kill("SIGINT");
    expect((await ended)[0], stderr).to.equal(130);
    expect(stderr).to.match(/interrupted: \d+ rows are written; the same command goes on/);
    const rest = await done(...words);
    expect(rest.rows).to.equal(150_000);
    expect(rest.resumed_after).to.be.within(1, 149_999);
    expect(await count()).to.equal(150_000);
  });

  it("goes on with an export where it was broken off", async () => {
    const words = ["export", "resumed.npy", "--collection", "source"];
    // As a run leaves it that was killed after a note and some more rows.
    const page = await client().collection("source").scrollPage({ limit: 1000 });
    await done(...words, "--page-rows", "1000");
    const whole = await readFile(join(folder, "resumed.npy"));
    const parts = ["npy", "ids.ndjson", "metadata.ndjson"].map((end) => `resumed.${end}`);
    const ids = page.vectors.map(({ id }) => `${JSON.stringify(id)}\n`).join("");
    const metadata = page.vectors.map((row) => `${JSON.stringify(row.metadata)}\n`).join("");
    const marks = [
      128 + 1000 * DIMENSIONS * 4,
      Buffer.byteLength(ids),
      Buffer.byteLength(metadata),
    ];
    for (const name of parts) {
      await writeFile(join(folder, `${name}.part`), await readFile(join(folder, name)));
      await rm(join(folder, name));
    }
    const identity = { export: 1, target: url(), collection: "source", format: ".npy" };
    const state = { cursor: page.cursor, rows: 1000, marks };
    await writeFile(join(folder, "resumed.npy.part.json"), JSON.stringify({ identity, state }));
    const { code, stderr } = await omendb(...words);
    expect(code, stderr).to.equal(0);
    expect(stderr).to.match(/goes on after 1,000 rows/);
    expect(await readFile(join(folder, "resumed.npy"))).to.deep.equal(whole);
  });

  it("names what is wrong with a file, and writes nothing of it", async () => {
    const wrong: [string, string | Uint8Array, RegExp][] = [
      ["a.ndjson", '{"id":"a","vector":[1,2]}\n{"id":', /a\.ndjson, line 2: /],
      ["b.ndjson", '{"vector":[1]}', /line 1: there is no id/],
      ["c.ndjson", '{"id":"a","vector":[1],"metdata":{}}', /line 1: metdata is none of/],
      ["d.npy", "no array", /d\.npy (is no \.npy|ends at)/],
      ["e.fvecs", Uint8Array.of(2, 0, 0, 0, 1), /5 bytes are no whole rows of 12/],
      ["f.parquet", "PAR0 nothing PAR0", /f\.parquet is no sound Parquet file/],
    ];
    for (const [name, content, sentence] of wrong) {
      await writeFile(join(folder, name), content);
      const { code, stderr } = await omendb("import", name, "--collection", "wrong");
      expect(code, stderr).to.equal(1);
      expect(stderr).to.match(sentence);
    }
    expect((await client().collection("wrong").stats()).vectors).to.equal(0);
    const nameless = await omendb("import", "a.ndjson", "--format", "csv");
    expect([nameless.code, nameless.stderr]).to.satisfy(
      ([code, said]: [number, string]) => code === 2 && /\.ndjson, \.npy/.test(said),
    );
  });

  it("tells an unreachable server from one that refuses the key, by exit codes", async () => {
    const gone = `http://127.0.0.1:${await freePort()}`;
    const unreachable = await omendb("export", "x.ndjson", "--url", gone);
    expect(unreachable.code, unreachable.stderr).to.equal(5);
    const forbidden = await omendb("export", "x.ndjson", "--api-key", "wrong");
    expect(forbidden.code, forbidden.stderr).to.equal(6);
    const missing = await omendb("export", "x.ndjson", "--collection", "missing", "--json");
    expect(missing.code).to.equal(1);
    expect(JSON.parse(missing.stderr).error.code).to.equal("COLLECTION_NOT_FOUND");
    const both = await omendb("export", "x.ndjson", "--url", url(), "--path", "data");
    expect(both.code).to.equal(2);
    const nowhere = await omendb("export", "x.ndjson", "--path", "nowhere");
    expect([nowhere.code, nowhere.stderr]).to.deep.equal([
      ...[2, "omendb: there is no data path nowhere\n"],
    ]);
  });
});
