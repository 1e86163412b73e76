/** Pages of other sites that a browser on this machine has open, before a server without a key. */
import { expect } from "chai";
import { closeDoors, openDoor } from "./httpDoor.ts";

describe("a server without a credential", () => {
  afterEach(closeDoors);

  it("serves this machine, by any of its names", async () => {
    const door = await openDoor();
    for (const host of [
      "localhost",
      "LOCALHOST:8000",
      "app.localhost",
      "127.0.0.1:1",
      "[::1]:80",
    ]) {
      const { status } = await door.connect({ host }).get("/stats");
      expect(status, host).to.equal(200);
    }
    const origin = "http://localhost:3000";
    expect((await door.connect({ origin }).get("/stats")).status).to.equal(200);
  });

  it("refuses what a page of another site sends, by its name or by its Origin", async () => {
    const door = await openDoor({ CORS_ORIGINS: "https://app.example" });
    const strangers: Record<string, string>[] = [
      { host: "evil.example:8000" },
      { host: "localhost.evil.example" },
      { host: "127.0.0.1.evil.example" },
      { origin: "http://evil.example" },
      { origin: "null" },
    ];
    for (const headers of strangers) {
      const answer = await door.connect(headers).post("/vectors/add", { id: "a", vector: [1] });
      expect([answer.status, answer.body.code]).to.deep.equal([403, "FORBIDDEN"]);
    }
    expect((await door.connect().get("/stats")).body.vectors).to.equal(0);
    const origin = "https://app.example";
    expect((await door.connect({ origin }).get("/stats")).status).to.equal(200);
  });

  it("leaves names to a proxy that it trusts, and to a credential", async () => {
    const host = "db.example";
    const behind = await openDoor({ TRUST_PROXY: "loopback" });
    expect((await behind.connect({ host }).get("/stats")).status).to.equal(200);
    const guarded = await openDoor({ API_KEY: "key" });
    const headers = { host, origin: "http://evil.example", "x-api-key": "key" };
    expect((await guarded.connect(headers).get("/stats")).status).to.equal(200);
  });
});
