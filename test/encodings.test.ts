/** Compressed bodies: read as if they were not, and bombs cost nothing. */
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { expect } from "chai";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import type { Connection } from "./server.ts";

const MIB = 1024 * 1024;
const BODY_MB_MAX = 8;

const ENCODERS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  ...{ gzip: gzipSync, "x-gzip": gzipSync, GZIP: gzipSync, deflate: deflateSync },
  ...{ br: brotliCompressSync, zstd: zstdCompressSync, identity: (bytes) => bytes },
};

describe("content encodings", () => {
  let door: OpenDoor;
  let client: Connection;
  before(async () => {
    door = await openDoor({ MAX_BODY_MB: BODY_MB_MAX });
    client = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1, 2] });
  });
  after(closeDoors);

  const send = (path: string, bytes: Uint8Array, encoding: string, type = "application/json") =>
    client.send("POST", path, bytes, { "content-encoding": encoding, "content-type": type });

  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    it(`${encoding}: every kind of body is read`, async () => {
      const bytes = (text: string) => encode(Buffer.from(text));
      const found = await send("/search", bytes('{"vector":[1,2],"k":1}'), encoding);
      expect(found.body.results[0]).to.include({ id: "a", distance: 0 });
      const floats = new Uint8Array(Float32Array.of(1, 2).buffer);
      const octets = await send("/search", encode(floats), encoding, "application/octet-stream");
      expect(octets.body.results[0]).to.include({ id: "a", distance: 0 });
      const rows = Array.from({ length: 5000 }, (_, id) => `{"id":"b${id}","vector":[9,9]}\n`);
      const lines = await send(
        "/vectors/batch",
        bytes(rows.join("")),
        encoding,
        "application/x-ndjson",
      );
      expect([lines.status, lines.body.accepted]).to.deep.equal([200, 5000]);
    });
  }

  for (const encoding of ["gzip", "deflate", "br", "zstd"]) {
    const encode = ENCODERS[encoding]!;

    it(`${encoding}: the limit holds for what comes out, to the byte`, async () => {
      const body = (bytes: number) => encode(Buffer.from(`{}${" ".repeat(bytes - 2)}`));
      const atLimit = await send("/search", body(BODY_MB_MAX * MIB), encoding);
      expect([atLimit.status, atLimit.body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
      const over = await send("/search", body(BODY_MB_MAX * MIB + 1), encoding);
      expect([over.status, over.body.code]).to.deep.equal([413, "BODY_TOO_LARGE"]);
    });

    it(`${encoding}: a bomb is refused before it is out, and takes no memory`, async () => {
      const bomb = encode(Buffer.alloc(256 * MIB, " "));
      await send("/search", bomb, encoding);
      const before = process.memoryUsage().rss;
      for (const type of ["application/json", "application/octet-stream"]) {
        for (let turn = 0; turn < 4; turn++) {
          const { status, body } = await send("/search", bomb, encoding, type);
          expect([status, body.code]).to.deep.equal([413, "BODY_TOO_LARGE"]);
        }
      }
      const { body } = await send("/vectors/batch", bomb, encoding, "application/x-ndjson");
      expect(body).to.include({ code: "BODY_TOO_LARGE", accepted: 0, line: 1 });
      expect(process.memoryUsage().rss - before).to.be.below(96 * MIB);
    });

    it(`${encoding}: what is cut short, spoilt or no ${encoding} at all is refused`, async () => {
      const sound = encode(Buffer.from('{"vector":[1,2],"k":1}'));
      const hasSum = encoding === "gzip" || encoding === "deflate";
      const spoilt = Uint8Array.from(sound, (byte, index) => (index === 14 ? byte ^ 0x5a : byte));
      const wrong = [sound.subarray(0, sound.length - 2), Buffer.from("nonsense")];
      for (const bytes of hasSum ? [...wrong, spoilt] : wrong) {
        const { status, body } = await send("/search", bytes, encoding);
        expect(status, body?.detail).to.equal(400);
        expect(body.code).to.be.oneOf(["INVALID_REQUEST", "INVALID_JSON"]);
      }
      expect((await send("/search", sound, encoding)).status).to.equal(200);
    });
  }
});
