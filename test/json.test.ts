import { expect } from "chai";
import fc from "fast-check";
import { Desk, type ScannedBody } from "../src/engine/desk.ts";
import { ERRORS, OmenError } from "../src/errors.ts";
import { deskModule, SEED } from "./deskModule.ts";

const encoder = new TextEncoder();
const noPause = () => Promise.resolve();

describe(`json (SEED=${SEED})`, () => {
  let desk: Desk;
  before(() => {
    desk = new Desk(deskModule());
  });

  const scanBytes = (bytes: Uint8Array) => desk.scan([bytes], noPause);
  const scan = (text: string) => scanBytes(encoder.encode(text));

  async function read<T>(text: string, take: (body: ScannedBody) => T): Promise<T> {
    const body = await scan(text);
    try {
      return take(body);
    } finally {
      body.release();
    }
  }

  const parse = (text: string) => read(text, ({ value }) => value);

  async function faultOf(input: string | Uint8Array): Promise<OmenError> {
    try {
      (await (typeof input === "string" ? scan(input) : scanBytes(input))).release();
    } catch (error) {
      expect(error).to.be.instanceOf(OmenError);
      return error as OmenError;
    }
    throw new Error("the body was accepted");
  }

  it("gives JSON.parse's value where no vector and no metadata stands", async () => {
    for (const text of [
      ...[
        "{}",
        "[]",
        "0",
        "-0",
        '""',
        "null",
        "true",
        "false",
        " [ ] ",
        '\t{ "a" :\r\n1 } ',
        "1e3",
      ],
      ...[
        '"\\u00e9\\n\\"\\\\\\/\\b\\f\\r\\t"',
        '"\u2028 é 漢 😀"',
        '"\\ud83d\\ude00"',
        "[[[1],{}],2]",
      ],
      ...['{"ids":["a","b"],"filter":{"vector":[1,2],"metadata":{"a":1}}}', "9007199254740991"],
      ...['{"a":{"vector":[1]},"b":[[{"vector":[1]}]]}', '[{"vector":[1]}]', "[1.5,-2.25e-3,1E+2]"],
      ...['{"__proto__":1,"":2,"constructor":{}}', "1e400", "123456789012345678.5"],
    ]) {
      expect(await parse(text), text).to.deep.equal(JSON.parse(text));
    }
  });

  it("puts handles in place of vectors and metadata at row positions", async () => {
    const text = `{ "vectors" : [ {"id":"a","vector":[1, -2.5 ,3e0],"metadata":{ "x" : [1] }},
      {"vect\\u006fr":[],"m\\u0065tadata":{}} ], "vector": [4], "metadata": {"y":"z"} }`;
    await read(text, (body) => {
      expect(body.value).to.deep.equal({
        vectors: [
          { id: "a", vector: 0, metadata: 0 },
          { vector: 1, metadata: 1 },
        ],
        vector: 2,
        metadata: 2,
      });
      expect([...body.vector(0).values]).to.deep.equal([1, -2.5, 3]);
      expect(body.vector(1).count).to.equal(0);
      expect([...body.vector(2).values]).to.deep.equal([4]);
      const texts = [0, 1, 2].map((handle) => new TextDecoder().decode(body.metadata(handle)));
      expect(texts).to.deep.equal(['{ "x" : [1] }', "{}", '{"y":"z"}']);
    });
  });

  it("lets no client forge a handle", async () => {
    expect(await parse('{"vector":0,"metadata":0,"rows":[{"vector":-1e2,"metadata":1.5}]}')).to.eql(
      { vector: null, metadata: false, rows: [{ vector: null, metadata: false }] },
    );
    const others = '{"vector":{"vector":0},"metadata":[{"metadata":0}],"a":[{"vector":true}]}';
    const value = { vector: { vector: 0 }, metadata: [{ metadata: false }], a: [{ vector: true }] };
    expect(await parse(others)).to.eql(value);
  });

  it("refuses what RFC 8259 refuses, with the byte", async () => {
    for (const [text, at] of [
      ["", 0],
      ["  ", 2],
      ["{", 1],
      ['{"a"', 4],
      ['{"a":', 5],
      ['{"a":1,}', 7],
      ["{a:1}", 1],
      ["[1,]", 3],
      ["[,1]", 1],
      ["[1 2]", 3],
      ["[1}", 2],
      ["01", 1],
      ["-", 1],
      ["-a", 1],
      ["1.", 2],
      [".5", 0],
      ["1e", 2],
      ["1e+", 3],
      ["+1", 0],
      ["nul", 0],
      ["truefalse", 4],
      ["{} {}", 3],
      ['"a', 2],
      ['"\n"', 1],
      ['"\\x"', 1],
      ['"\\u12g4"', 1],
      ["NaN", 0],
      ['{"vector":[1,]}', 13],
      ['{"vector":[01]}', 12],
      ['{"vector":[1 2]}', 13],
      ['{"vector":[1.]}', 13],
      ['{"vector":[1', 12],
      ['{"metadata":{"a":}}', 17],
      ["\ufeff{}", 0],
    ] as const) {
      const fault = await faultOf(text);
      expect(fault.code, text).to.equal("INVALID_JSON");
      expect(fault.message, text).to.match(new RegExp(`at byte ${at}$`));
      expect(() => JSON.parse(text), text).to.throw();
    }
  });

  it("refuses invalid UTF-8 and halves of surrogate pairs", async () => {
    const bytes = (...middle: number[]) => Uint8Array.of(0x22, ...middle, 0x22);
    for (const middle of [
      ...[[0x80], [0xc0, 0x80], [0xc1, 0xbf], [0xc3], [0xe0, 0x80, 0x80], [0xe2, 0x82], [0xff]],
      ...[
        [0xed, 0xa0, 0x80],
        [0xf0, 0x80, 0x80, 0x80],
        [0xf4, 0x90, 0x80, 0x80],
        [0xf5, 1, 1, 1],
      ],
    ]) {
      expect((await faultOf(bytes(...middle))).code, String(middle)).to.equal("INVALID_JSON");
    }
    for (const text of [
      '"\\ud800"',
      '"\\udc00"',
      '"\\ud800\\u0041"',
      '"\\ude00\\ud83d"',
      '"\\ud83d',
    ]) {
      expect((await faultOf(text)).message, text).to.contain("surrogate");
    }
  });

  it("names the place of a fault with a JSON pointer", async () => {
    for (const [text, pointer] of [
      ['{"a":[1,{"b/~":x}]}', "/a/1/b~1~0"],
      ['{"rows":[{"metadata":{"k":[0,1,nul]}}]}', "/rows/0/metadata/k/2"],
      ['{"a":1,"b":2,"a":3}', "/a"],
      ['{"a":{"x":1},"\\u0061":3}', "/a"],
      ['{"vectors":[{},{"id":9007199254740992}]}', "/vectors/1/id"],
      ['{"vector":[1,2,"x",]}', "/vector/3"],
      ["[1,2", "/1"],
      ["x", ""],
    ] as const) {
      expect((await faultOf(text)).errors?.[0]?.pointer, text).to.equal(pointer);
    }
  });

  it("refuses a member named twice, however it is written and however many there are", async () => {
    const many = (count: number, last: string) =>
      `{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join()},${last}:1}`;
    for (const count of [1, 14, 15, 16, 17, 1000, 100_000]) {
      for (const name of ['"k0"', `"k${count - 1}"`, '"\\u006b0"']) {
        const fault = await faultOf(many(count, name));
        expect(fault.message, `${count} ${name}`).to.contain("twice");
      }
      expect(Object.keys((await parse(many(count, '"other"'))) as object)).to.have.length(
        count + 1,
      );
    }
    const nested = `{"k0":${many(20, '"a"')},"b":${many(20, '"a"')},"c":[${many(20, '"a"')}]}`;
    expect(await parse(nested)).to.deep.equal(JSON.parse(nested));
    expect((await faultOf('{"metadata":{"a":{"x":1,"x":2}}}')).message).to.contain("twice");
    expect((await faultOf('{"vector":[1],"vect\\u006fr":"AAAA"}')).message).to.contain("twice");
  });

  it("sees the last of a million members twice", async () => {
    const members = Array.from({ length: 1_000_000 }, (_, index) => `"${index.toString(36)}":0`);
    const twice = await faultOf(`{${members.join()},"lflr":0}`);
    expect(twice.errors?.[0]?.pointer).to.equal("/lflr");
    // Read to its end, and only then too much for JSON.parse, which could not be interrupted.
    expect((await faultOf(`{${members.join()}}`)).code).to.equal("BODY_TOO_LARGE");
  });

  it("refuses integers beyond 2^53-1, but not as components", async () => {
    for (const text of [
      "9007199254740992",
      "-9007199254740992",
      "12345678901234567",
      `1${"0".repeat(40)}`,
    ]) {
      expect((await faultOf(`{"a":${text}}`)).message, text).to.contain("2^53-1");
      expect((await faultOf(`{"metadata":{"a":[${text}]}}`)).message, text).to.contain("2^53-1");
    }
    await read('{"vector":[9007199254740993]}', (body) => {
      expect(body.vector(0).values[0]).to.equal(9007199254740992);
    });
  });

  it("refuses a body nested a hundred thousand deep", async () => {
    expect(await parse("[".repeat(64) + "]".repeat(64))).to.be.an("array");
    expect((await faultOf("[".repeat(65) + "]".repeat(65))).message).to.contain("deeper");
    expect((await faultOf('{"a":'.repeat(100_000))).message).to.contain("deeper");
    expect((await faultOf(`{"vector":${"[".repeat(100_000)}`)).message).to.contain("deeper");
  });

  it("refuses metadata over 64 KiB, names over 4 KiB and numbers over 1024 characters", async () => {
    const metadata = (bytes: number) => `{"metadata":{"a":"${"x".repeat(bytes - 8)}"}}`;
    await parse(metadata(65536));
    const fault = await faultOf(metadata(65537));
    expect(fault.code).to.equal("INVALID_METADATA");
    expect(fault.errors?.[0]?.pointer).to.equal("/metadata");
    await parse(`{"${"k".repeat(4096)}":1}`);
    expect((await faultOf(`{"${"k".repeat(4097)}":1}`)).message).to.contain("name");
    await parse(`[1.${"0".repeat(1022)}]`);
    expect((await faultOf(`[1.${"0".repeat(1023)}]`)).message).to.contain("1024 characters");
    expect((await faultOf(`{"vector":[0.${"0".repeat(5000)}]}`)).message).to.contain("1024");
  });

  it("names the first component of a vector that cannot be stored, and only when it is asked", async () => {
    for (const [vector, place, what] of [
      ["[1,null,2]", "/v/0/vector/1", "not a number"],
      ['["1"]', "/v/0/vector/0", "not a number"],
      ["[0,[1,2],{}]", "/v/0/vector/1", "not a number"],
      ["[1e16,1.1e16,null]", "/v/0/vector/1", "1e16"],
      ["[1,2,-1e400]", "/v/0/vector/2", "1e16"],
      ['"AAAA"', "/v/0/vector", "whole float32"],
      ['"AAAAA"', "/v/0/vector", "base64"],
      ['"AACAPw="', "/v/0/vector", "base64"],
      ['"AACA_w=="', "/v/0/vector", "base64"],
      ['"AACAPx=="', "/v/0/vector", "base64"],
      ['"AACAPwAAwH8="', "/v/0/vector/1", "finite"],
      ['"AACAfw=="', "/v/0/vector/0", "finite"],
    ] as const) {
      await read(`{"v":[{"vector":${vector}},{"vector":[7]}]}`, (body) => {
        const ask = () => body.vector(0);
        expect(ask, vector).to.throw(OmenError).with.property("code", "INVALID_VECTOR");
        expect(ask, vector).to.throw(place);
        expect(ask, vector).to.throw(what);
        expect(body.vector(1).values[0]).to.equal(7);
      });
    }
  });

  it("decodes base64 vectors, with escaped slashes too", async () => {
    const floats = fc.array(fc.float({ noNaN: true, min: -(2 ** 53), max: 2 ** 53 }), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(floats, fc.boolean(), async (numbers, escapes) => {
        const base64 = Buffer.from(Float32Array.from(numbers).buffer).toString("base64");
        const text = escapes ? base64.replaceAll("/", "\\/").replace("A", "\\u0041") : base64;
        await read(`{"vector":"${text}"}`, (body) => {
          expect([...body.vector(0).values]).to.deep.equal(numbers.map(Math.fround));
        });
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("accepts what JSON.parse accepts, and nothing else", async function () {
    this.timeout(60_000);
    const alphabet = '{}[]",:\\ue01239-+.tfn \t"vector""metadata"\u00e9';
    let accepted = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.json({ maxDepth: 5 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(alphabet.length - 1), fc.nat(2)), { maxLength: 2 }),
        async (document, changes) => {
          const text = changes.reduce((before, [at, character, cut]) => {
            const place = at % (before.length + 1);
            return before.slice(0, place) + alphabet[character] + before.slice(place + cut);
          }, document);
          const expected = parseOrUndefined(text);
          const fault = await scan(text).then(
            (body) => {
              const { value } = body;
              body.release();
              expect(expected, text).to.not.equal(undefined);
              if (!/"vector"|"metadata"/.test(text)) expect(value).to.deep.equal(expected);
              return undefined;
            },
            (error: OmenError) => error,
          );
          if (fault === undefined) accepted++;
          else refused++;
          // Our own refusals come on top.
          const ours = /twice|surrogate|2\^53|deeper/;
          if (fault && expected !== undefined) expect(fault.message, text).to.match(ours);
          if (fault) expect(ERRORS).to.have.property(fault.code);
        },
      ),
      { seed: SEED, numRuns: 20_000 },
    );
    expect(Math.min(accepted, refused)).to.be.above(1000);
  });
});

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
