/**
 * What the built engine is made of, read from the wasm itself: it takes a memory from outside and
 * nothing else, keeps nothing of its own, and exports exactly what the host's interfaces name.
 */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import {
  SEARCH_VARIANTS,
  SHARED_VARIANTS,
  UNSHARED_VARIANTS,
  VARIANTS,
  type VariantName,
} from "../../src/engine/variant.ts";
import { readVariant } from "../../src/threads/engineFiles.ts";

const RELEASES = [...SHARED_VARIANTS, ...UNSHARED_VARIANTS, ...SEARCH_VARIANTS];

// Section numbers of the binary format.
const TABLE = 4;
const GLOBAL = 6;
const CODE = 10;
const DATA = 11;
const DATA_COUNT = 12;

const SIMD_PREFIX = 0xfd;
/** Relaxed SIMD has the SIMD opcodes 0x100 to 0x113, whose LEB128 is 0x80..0x93, 0x02. */
const RELAXED_FIRST = 0x80;
const RELAXED_LAST = 0x93;
const RELAXED_HIGH = 0x02;

/** The module's sections by number, custom ones left out. */
function sectionsOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const sections = new Map<number, Uint8Array>();
  for (let at = 8; at < bytes.length; ) {
    const section = bytes[at]!;
    const { value: length, next } = readLeb(bytes, at + 1);
    if (section !== 0) sections.set(section, bytes.subarray(next, next + length));
    at = next + length;
  }
  return sections;
}

function readLeb(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0;
  let next = start;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[next++]!;
    value |= (byte & 127) << shift;
    if (byte < 128) return { value: value >>> 0, next };
  }
}

/**
 * Whether each global may change. The initial value is skipped up to the end opcode of its
 * expression.
 */
function mutabilityOf(section: Uint8Array | undefined): boolean[] {
  if (section === undefined) return [];
  const { value: count, next } = readLeb(section, 0);
  const mutable: boolean[] = [];
  for (let at = next; mutable.length < count; ) {
    mutable.push(section[at + 1] === 1);
    const constant = readLeb(section, at + 3).next;
    if (section[constant] !== 0x0b) throw new Error("a global whose initial value is no integer");
    at = constant + 1;
  }
  return mutable;
}

function countRelaxed(code: Uint8Array): number {
  let count = 0;
  for (let at = 0; at + 2 < code.length; at++) {
    const isRelaxed = code[at + 1]! >= RELAXED_FIRST && code[at + 1]! <= RELAXED_LAST;
    if (code[at] === SIMD_PREFIX && isRelaxed && code[at + 2] === RELAXED_HIGH) count++;
  }
  return count;
}

/** The member names of an interface, from its source: lines that begin a method. */
function membersOf(file: string, name: string): string[] {
  const source = readFileSync(new URL(`../../src/engine/${file}`, import.meta.url), "utf8");
  const body = new RegExp(`interface ${name}\\b[^{]*\\{\\n(.*?)\\n\\}`, "s").exec(source)?.[1];
  if (body === undefined) throw new Error(`${file} has no interface ${name}`);
  return [...body.matchAll(/^ {2}(\w+)\(/gm)].map((member) => member[1]!);
}

const moduleOf = (name: VariantName) => new WebAssembly.Module(readVariant(name));

const importsOf = (name: VariantName) =>
  WebAssembly.Module.imports(moduleOf(name)).map((entry) => `${entry.module}.${entry.name}`);

for (const name of RELEASES) {
  describe(`the ${name} build`, () => {
    const sections = sectionsOf(readVariant(name));

    it("imports a memory and nothing else", () => {
      expect(importsOf(name)).to.deep.equal(["env.memory"]);
    });

    it("has no data and no table", () => {
      expect(sections.has(DATA) || sections.has(DATA_COUNT), "data").to.equal(false);
      expect(sections.has(TABLE), "table").to.equal(false);
    });

    it("has no global that can change", () => {
      expect(mutabilityOf(sections.get(GLOBAL))).to.not.include(true);
    });

    it(`uses relaxed SIMD ${name.startsWith("relaxed") ? "somewhere" : "nowhere"}`, () => {
      const count = countRelaxed(sections.get(CODE)!);
      if (name.startsWith("relaxed")) expect(count).to.be.above(0);
      else expect(count).to.equal(0);
    });
  });
}

describe("every build of the engine", () => {
  it("imports at most abort beside the memory, for the assertions of the debug build", () => {
    expect(["env.memory", "env.abort"]).to.include.members(importsOf("debug"));
  });

  for (const name of VARIANTS) {
    it(`exports exactly what EngineExports names, and the memory: ${name}`, () => {
      const names = [
        ...membersOf("exports.ts", "EngineExports"),
        ...membersOf("sheet.ts", "DeskExports"),
        "memory",
      ];
      const exports = WebAssembly.Module.exports(moduleOf(name)).map((entry) => entry.name);
      expect(exports.sort()).to.deep.equal(names.sort());
    });
  }

  for (const name of SEARCH_VARIANTS) {
    it(`exports what assembly/searching.ts names, all of it the whole engine's: ${name}`, () => {
      const file = new URL("../../assembly/searching.ts", import.meta.url);
      const [, list] = /export \{(.*?)\}/s.exec(readFileSync(file, "utf8"))!;
      const names = [...list!.matchAll(/\w+/g)].map(([each]) => each);
      const exports = WebAssembly.Module.exports(moduleOf(name)).map((entry) => entry.name);
      expect(exports.sort()).to.deep.equal([...names, "memory"].sort());
      const whole = WebAssembly.Module.exports(moduleOf("relaxed")).map((entry) => entry.name);
      expect(whole).to.include.members(names);
    });
  }
});
