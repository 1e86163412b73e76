import { expect } from "chai";
import fc from "fast-check";
import { Desk } from "../src/engine/desk.ts";
import { crc32c } from "./crc32c.ts";
import { deskModule, SEED } from "./deskModule.ts";

describe(`crc32c (SEED=${SEED})`, () => {
  let desk: Desk;
  before(() => {
    desk = new Desk(deskModule());
  });

  it("gives the check values of RFC 3720", () => {
    const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
    expect(desk.crc32c(new TextEncoder().encode("123456789"))).to.equal(0xe3069283);
    expect(desk.crc32c(new Uint8Array(32))).to.equal(0x8a9136aa);
    expect(desk.crc32c(new Uint8Array(32).fill(0xff))).to.equal(0x62a8ab43);
    expect(desk.crc32c(ascending)).to.equal(0x46dd794e);
    expect(desk.crc32c(ascending.toReversed())).to.equal(0x113fdb5c);
    expect(desk.crc32c(new Uint8Array(0))).to.equal(0);
  });

  it("agrees with the table bit by bit, at every length and alignment", () => {
    const bytes = fc.uint8Array({ maxLength: 5000, size: "max" });
    fc.assert(
      fc.property(bytes, fc.nat(20), (all, offset) => {
        const part = all.subarray(offset);
        expect(desk.crc32c(part)).to.equal(crc32c(part));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it("goes on from a seed, over any cut and over more than its window", () => {
    const bytes = Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 2654435761) >>> 13);
    const whole = crc32c(bytes);
    expect(desk.crc32c(bytes)).to.equal(whole);
    for (const cut of [0, 1, 15, 1000, 65_537, 2_999_999]) {
      const seed = desk.crc32c(bytes.subarray(0, cut));
      expect(desk.crc32c(bytes.subarray(cut), seed)).to.equal(whole);
    }
  });
});
