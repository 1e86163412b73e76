/** How a server process begins and ends: what it refuses to run with, and how it lets go. */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect as connectSocket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type Connection, freePort, ok, pause, runToEnd, startServer } from "./server.ts";

const CLOSED_MS_MAX = 30_000;
const WRITERS = 16;
const STACK = /^\s+at /m;

describe("starting", () => {
  const refusesToRun = async (settings: Record<string, string | number>, sentence: RegExp) => {
    const { code, output } = await runToEnd({ PORT: await freePort(), ...settings });
    expect(code, output).to.be.a("number").and.not.equal(0);
    expect(output).to.match(sentence);
    expect(output).not.to.match(STACK);
  };

  it("stops at an unknown setting and names it", () =>
    refusesToRun({ THREDS: 2 }, /OMENDB_THREDS.*OMENDB_THREADS/));

  it("stops at a wrong setting and names it", () =>
    refusesToRun({ METRIC: "manhattan" }, /OMENDB_METRIC.*l2.*manhattan/));

  it("refuses a safety that nothing is there to keep", () =>
    refusesToRun({ SAFETY: "normal" }, /OMENDB_SAFETY.*OMENDB_PATH/));

  it("refuses to be reached from other machines without a key", () =>
    refusesToRun({ HOST: "0.0.0.0" }, /OMENDB_HOST.*OMENDB_API_KEY/));

  it("says so when another program has the port", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    await refusesToRun({ PORT: port }, new RegExp(`${port}.*another process`));
    other.close();
  });

  it("says so when another server of its kind has the port", async () => {
    const first = await startServer();
    await refusesToRun({ PORT: first.port }, new RegExp(`${first.port}.*another process`));
    expect(await first.stop()).to.equal(0);
  });
});

describe("stopping", () => {
  for (const threads of [1, 2]) {
    it(`finishes what is in flight at SIGTERM and ends with 0, ${threads} threads`, async () => {
      const server = await startServer({ THREADS: threads, LOG_LEVEL: "warn" });
      const half = await beginWrite(server.port);
      const load = startLoad(Array.from({ length: 8 }, () => server.connect()));
      await pause(300);
      const stoppedAt = performance.now();
      const stopping = server.stop();
      const isClosed = await refusesConnectionsSoon(server.port);
      const answer = await half.finish();
      const code = await stopping;
      const { answered, broken } = await load.end();
      expect(code, server.output()).to.equal(0);
      expect(isClosed).to.equal(true);
      expect(answer).to.match(/^HTTP\/1\.1 200 /);
      expect(answered).to.be.greaterThan(0);
      // What was sent while the signal was on its way may meet a closed connection.
      expect(broken.filter((sentAt) => sentAt < stoppedAt - 50)).to.deep.equal([]);
    });
  }

  it("loses no acknowledged write at SIGTERM, and refuses none before its doors are closed", async () => {
    const path = await mkdtemp(join(tmpdir(), "omendb-stop-"));
    const settings = { PATH: path, THREADS: 2, LOG_LEVEL: "warn" };
    const server = await startServer(settings);
    const acknowledged: string[] = [];
    const refused: unknown[] = [];
    let isClosed = false;
    const write = async (client: number) => {
      const connection = server.connect();
      for (let round = 0; ; round++) {
        const [id, wasOpen] = [`${client}-${round}`, !isClosed];
        const asked = connection.post("/vectors/add", { id, vector: [client, round, 1] });
        const answer = await asked.catch(() => undefined);
        if (answer?.status === 200) acknowledged.push(id);
        else if (answer !== undefined && wasOpen) refused.push([answer.status, answer.text]);
        // Only a server that has let go of the connection ends a writer.
        if (answer === undefined) break;
      }
      connection.close();
    };
    const writing = Promise.all(Array.from({ length: WRITERS }, (_, client) => write(client)));
    while (acknowledged.length < 10 * WRITERS) await pause(5);
    const before = acknowledged.length;
    const stopping = server.stop();
    expect(await refusesConnectionsSoon(server.port)).to.equal(true);
    isClosed = true;
    expect(await stopping, server.output()).to.equal(0);
    await writing;
    expect(acknowledged.length).to.be.at.least(before);
    expect(refused).to.deep.equal([]);
    const again = await startServer(settings);
    const client = again.connect();
    for (let first = 0; first < acknowledged.length; first += 5000) {
      const ids = acknowledged.slice(first, first + 5000);
      const { vectors } = await ok(client.post("/vectors/get", { ids }));
      const lost = ids.filter((_, index) => vectors[index] === null);
      expect(lost).to.deep.equal([]);
    }
    client.close();
    expect(await again.stop()).to.equal(0);
    await rm(path, { recursive: true });
  }).timeout(120_000);

  it("ends with 0 when nothing is in flight, also at SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const server = await startServer();
      const idle = server.connect();
      await idle.get("/health");
      expect(await server.stop(signal)).to.equal(0);
      idle.close();
    }
  });

  it("does not wait for a client that never finishes its request", async () => {
    const server = await startServer({ SHUTDOWN_MS: 500 });
    const half = await beginWrite(server.port);
    expect(await server.stop()).to.equal(0);
    half.abandon();
  });
});

/** A write whose second half is sent later. */
async function beginWrite(port: number) {
  const body = JSON.stringify({ id: "in-flight", vector: [1, 2, 3] });
  const middle = body.length >> 1;
  const socket = connectSocket(port, "127.0.0.1");
  let text = "";
  socket.on("data", (part) => (text += part.toString("utf8")));
  socket.on("error", () => {});
  await once(socket, "connect");
  const head = [
    ...["POST /vectors/add HTTP/1.1", "host: localhost", "content-type: application/json"],
    `content-length: ${body.length}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n${body.slice(0, middle)}`);
  await pause(100);
  return {
    finish: async () => {
      socket.write(body.slice(middle));
      for (let waited = 0; text === "" && waited < 30_000; waited += 10) await pause(10);
      socket.destroy();
      return text;
    },
    abandon: () => socket.destroy(),
  };
}

/** Each connection writes and searches in turn until it breaks or is told that this is the end. */
function startLoad(connections: readonly Connection[]) {
  let answered = 0;
  let isOver = false;
  const broken: number[] = [];
  const work = async (connection: Connection, client: number) => {
    for (let round = 0; !isOver; round++) {
      const sentAt = performance.now();
      const vector = [client, round, 1];
      const asked =
        round % 2 === 0
          ? connection.post("/vectors/add", { id: `${client}-${round}`, vector })
          : connection.post("/search", { vector });
      const status = await asked.then(
        (answer) => answer.status,
        () => undefined,
      );
      if (status === 200) answered++;
      else if (status !== 503) {
        broken.push(sentAt);
        break;
      } else await pause(5);
    }
    connection.close();
  };
  const working = Promise.all(connections.map(work));
  return {
    end: async () => {
      isOver = true;
      await working;
      return { answered, broken };
    },
  };
}

/** Every listener has its own door, and each must shut while a request is still in flight. */
async function refusesConnectionsSoon(port: number): Promise<boolean> {
  for (let waited = 0; waited < CLOSED_MS_MAX; waited += 50) {
    if (await refusesConnection(port)) return true;
    await pause(50);
  }
  return false;
}

function refusesConnection(port: number): Promise<boolean> {
  const socket = connectSocket(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.on("error", () => resolve(true));
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
  });
}
