import { expect } from "chai";
import fc from "fast-check";
import { Desk, type ScannedBody } from "../src/engine/desk.ts";
import { SLICE_MS } from "../src/engine/pace.ts";
import { layOut, Sheet } from "../src/engine/sheet.ts";
import { OmenError } from "../src/errors.ts";
import { deskModule, SEED } from "./deskModule.ts";

const encoder = new TextEncoder();
const SCAN_MORE = 0;
const BODY_BYTES = 64 * 1024 * 1024;
/** So much is read at most before the clock is looked at. */
const STEP_BYTES_MAX = 128 * 1024;
const COPY_BYTES_MAX = 1024 * 1024;
const noPause = () => Promise.resolve();
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** All that a scan leaves behind, as text: the status, the skeleton, the floats, the spans, the fault. */
function outcome(sheet: Sheet, bytes: Uint8Array, budgetBytes: number): string {
  sheet.begin(bytes.length, layOut(bytes.length), 1, 0x9e3779b1);
  sheet.bytes.set(bytes, sheet.areas.source);
  let status = SCAN_MORE;
  while (status === SCAN_MORE) status = sheet.step(budgetBytes);
  const { areas, words } = sheet;
  const [position, , skeletonEnd, , floatsEnd, , vectors, , spans, oddities] = words.subarray(
    1024 >> 2,
    (1024 >> 2) + 10,
  );
  const skeleton = Buffer.from(sheet.bytes.subarray(areas.skeleton, skeletonEnd!)).toString(
    "latin1",
  );
  const entries = words.slice(areas.vectors >> 2, (areas.vectors >> 2) + vectors! * 6);
  const metadata = words.slice(areas.metadata >> 2, (areas.metadata >> 2) + spans! * 2);
  const floats = words.slice(areas.floats >> 2, floatsEnd! >> 2);
  return JSON.stringify([
    ...[status, sheet.faultCode, position, skeleton, vectors, spans, oddities],
    ...[[...entries], [...metadata], [...floats]],
  ]);
}

describe(`desk (SEED=${SEED})`, () => {
  let module: WebAssembly.Module;
  before(() => {
    module = deskModule();
  });

  it("comes to the same end whatever the steps, down to one byte", () => {
    const one = new Sheet(module);
    const other = new Sheet(module);
    const rows = fc.record({
      id: fc.string({ unit: "grapheme" }),
      vector: fc.oneof(
        fc.array(fc.oneof(fc.double({ noNaN: true }), fc.integer(), fc.constant(null))),
        fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString("base64")),
      ),
      metadata: fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue(), { maxKeys: 30 }),
    });
    const bodies = fc.record({ vectors: fc.array(rows, { maxLength: 5 }), a: fc.jsonValue() });
    fc.assert(
      fc.property(bodies, fc.nat(4), fc.nat(), fc.nat(), (value, indent, cut, byte) => {
        const bytes = encoder.encode(JSON.stringify(value, null, indent));
        // Every other body is spoilt somewhere.
        if (cut % 2 === 1) bytes[cut % bytes.length] = byte & 0xff;
        const whole = outcome(one, bytes, 2 ** 32 - 1);
        for (const budgetBytes of [1, 2, 7, 16, 100]) {
          expect(outcome(other, bytes, budgetBytes), `budget ${budgetBytes}`).to.equal(whole);
        }
      }),
      { seed: SEED, numRuns: 1500 },
    );
  });

  it("puts chunks together wherever they are cut, also inside a character", async () => {
    const desk = new Desk(module);
    const text = '{"rows":[{"id":"é漢😀","vector":[1.5,-2],"metadata":{"ключ":"значение"}}]}';
    const bytes = encoder.encode(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const body = await desk.scan([bytes.subarray(0, cut), bytes.subarray(cut)], noPause);
      expect(body.value).to.deep.equal({ rows: [{ id: "é漢😀", vector: 0, metadata: 0 }] });
      expect([...body.vector(0).values]).to.deep.equal([1.5, -2]);
      expect(new TextDecoder().decode(body.metadata(0))).to.equal('{"ключ":"значение"}');
      body.release();
    }
  });

  it("keeps the bodies of many requests apart, and makes those wait that find no sheet", async () => {
    const desk = new Desk(module);
    const scan = (number: number) => {
      const padding = " ".repeat((number % 7) * 50_000);
      const text = `{"vector":[${Array(100).fill(number)}],${padding}"metadata":{"n":${number}}}`;
      return desk.scan([encoder.encode(text)], turn);
    };
    const check = async (number: number) => {
      const body = await scan(number);
      await turn();
      await turn();
      expect([...body.vector(0).values]).to.deep.equal(Array(100).fill(number));
      expect(new TextDecoder().decode(body.metadata(0))).to.equal(`{"n":${number}}`);
      body.release();
    };
    await Promise.all(Array.from({ length: 200 }, (_, number) => check(number)));
    // Refused bodies give their sheets back as well.
    for (let index = 0; index < 100; index++) {
      const refused = await desk.scan([encoder.encode("[")], noPause).catch((error) => error);
      expect(refused).to.be.instanceOf(OmenError);
    }
    await check(1);
  });

  it("gives nothing of a body after its release", async () => {
    const body = await new Desk(module).scan([encoder.encode('{"vector":[1]}')], noPause);
    body.release();
    body.release();
    expect(() => body.vector(0)).to.throw("released");
    expect(() => body.metadata(0)).to.throw("released");
  });

  it("gives rows as one view when they lie so, else as a copy", async () => {
    const read = async (dimensions: number, handles: number[]) => {
      const rows = Array.from({ length: 4 }, (_, row) => ({ vector: Array(dimensions).fill(row) }));
      const bytes = encoder.encode(JSON.stringify({ rows }));
      const body = await new Desk(module).scan([bytes], noPause);
      const matrix = body.matrix(handles, dimensions);
      const isView = matrix.buffer === body.vector(0).values.buffer;
      expect([...matrix]).to.deep.equal(handles.flatMap((row) => Array(dimensions).fill(row)));
      expect(() => body.matrix(handles, dimensions + 1)).to.throw(
        `/rows/${handles[0]}/vector: expected ${dimensions + 1} dimensions, got ${dimensions}`,
      );
      return isView;
    };
    expect(await read(8, [0, 1, 2, 3])).to.equal(true);
    expect(await read(8, [1, 2])).to.equal(true);
    expect(await read(8, [3, 0])).to.equal(false);
    expect(await read(3, [0, 1, 2, 3])).to.equal(false);
  });

  it("decides in the host what the engine leaves open, however many", async () => {
    // The middle of two float32, with more digits than the engine takes.
    const middle = "1.000000059604644775390625";
    const texts = Array.from({ length: 5000 }, (_, index) =>
      index % 3 === 0 ? middle : index % 3 === 1 ? `${middle}1` : `-${middle.slice(0, -1)}4`,
    );
    const body = await new Desk(module).scan([encoder.encode(`{"vector":[${texts}]}`)], noPause);
    const expected = texts.map((text) => Math.fround(JSON.parse(text)));
    expect([...body.vector(0).values]).to.deep.equal(expected);
    body.release();
  });

  it("parses a long skeleton in pieces, to the same value", async () => {
    const desk = new Desk(module);
    const rows = Array.from({ length: 20_000 }, (_, row) => ({
      id: `row ${row} é`,
      n: row,
      l: [],
    }));
    for (const value of [
      { rows, k: 1 },
      { before: rows.slice(0, 10), 7: rows, after: [rows.slice(0, 3)], more: rows },
      { __proto__: null, 'a"\\b': rows.map(({ id }) => id) },
    ]) {
      const body = await desk.scan([encoder.encode(JSON.stringify(value))], noPause);
      expect(JSON.stringify(body.value)).to.equal(JSON.stringify(value));
      body.release();
    }
  });

  it("reads 64 MiB in small steps, and the event loop may turn after each", async function () {
    this.timeout(60_000);
    const desk = new Desk(module);
    const row = (index: number) =>
      `{"id":"row-${index}","vector":[${Array.from({ length: 128 }, (_, at) => Math.sin(index + at)).join()}],"metadata":{"n":${index}}}`;
    const piece = Array.from({ length: 1000 }, (_, index) => row(index)).join();
    const count = Math.floor(BODY_BYTES / piece.length);
    const chunks = [`{"vectors":[${piece}`, ...Array(count - 1).fill(`,${piece}`), "]}"];
    const { body, pauses } = await slowly(
      desk,
      chunks.map((text) => encoder.encode(text)),
    );
    expect((body!.value as { vectors: unknown[] }).vectors).to.have.length(count * 1000);
    expect(body!.vector(count * 1000 - 1).values[0]).to.equal(Math.fround(Math.sin(999)));
    body!.release();
    expect(pauses).to.be.at.least(BODY_BYTES / STEP_BYTES_MAX);
  });

  it("reads hostile 64 MiB bodies in small steps too", async function () {
    this.timeout(60_000);
    const desk = new Desk(module);
    const bytes = BODY_BYTES;
    for (const [name, text] of [
      ["one long string", `{"id":"${"x".repeat(bytes)}"}`],
      ["one long vector", `{"vector":[${"0.1,".repeat(bytes / 4)}1]}`],
      ["one long base64", `{"vector":"${"A".repeat(bytes)}"}`],
      ["white space", " ".repeat(bytes)],
      ["escapes", `{"vector":"${"\\/".repeat(bytes / 2)}"}`],
      ["empty arrays", `{"a":[${"[],".repeat(bytes / 3)}1]}`],
      ["empty vectors", `{"a":[${'{"vector":[]},'.repeat(bytes / 14)}1]}`],
      ["undecided numbers", `{"vector":[${"1.000000059604644775390625,".repeat(bytes / 27)}1]}`],
    ] as const) {
      const { body, pauses } = await slowly(desk, [encoder.encode(text)]);
      body?.release();
      // A refusal may come before the end; all has been copied by then.
      const step = body === undefined ? COPY_BYTES_MAX : STEP_BYTES_MAX;
      expect(pauses, name).to.be.at.least(BODY_BYTES / step);
    }
  });
});

/** Scans by a clock by which every slice is over when it is looked at; a refusal gives no body. */
async function slowly(
  desk: Desk,
  chunks: Uint8Array[],
): Promise<{ body: ScannedBody | undefined; pauses: number }> {
  let pauses = 0;
  const { now } = performance;
  let nowMs = now.call(performance);
  performance.now = () => {
    nowMs += SLICE_MS;
    return nowMs;
  };
  try {
    const body = await desk.scan(chunks, async () => {
      pauses++;
      await turn();
    });
    return { body, pauses };
  } catch (error) {
    if (!(error instanceof OmenError)) throw error;
    return { body: undefined, pauses };
  } finally {
    performance.now = now;
  }
}
