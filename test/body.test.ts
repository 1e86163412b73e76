import { once } from "node:events";
import { createServer, request as httpRequest, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { expect } from "chai";
import express, { type NextFunction, type Request, type Response } from "express";
import { Desk } from "../src/engine/desk.ts";
import { ERRORS, type OmenError } from "../src/errors.ts";
import { type BodyLimits, BodyReader } from "../src/http/body.ts";
import { deskModule } from "./deskModule.ts";

const KIB = 1024;
const limits: BodyLimits = {
  ...{ bytesMax: 256 * KIB, gatheredBytesMax: 512 * KIB },
  ...{ idleMs: 150, totalMs: 600 },
};

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

describe("body", () => {
  let server: Server;
  let port: number;
  /** Codes of the errors that reads ended with, also those nobody could be told. */
  let faults: string[];

  beforeEach(async () => {
    faults = [];
    const reader = new BodyReader(new Desk(deskModule()), limits);
    const app = express();
    app.post("/", async (request: Request, response: Response) => {
      const body = await reader.read(request);
      const { vector } = body.value as { vector?: number };
      const values = vector === undefined ? [] : [...body.vector(vector).values];
      response.json({ value: body.value, values });
    });
    app.use((error: OmenError, _request: Request, response: Response, _next: NextFunction) => {
      faults.push(error.code);
      response.status(ERRORS[error.code].status);
      response.json({ code: error.code, message: error.message, errors: error.errors });
    });
    server = createServer(app).listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });

  const json = { "content-type": "application/json" };

  async function post(body: RequestInit["body"], headers: Record<string, string> = json) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body, headers });
    return { status: answer.status, body: await answer.json() } as Answer;
  }

  /** A chunked request in pieces; `send` writes them. */
  function postChunked(send: (write: (text: string) => void, end: () => void) => void) {
    return new Promise<Answer>((resolve, reject) => {
      const request = httpRequest({ port, method: "POST", headers: json }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode!,
            body: JSON.parse(String(Buffer.concat(chunks))),
          }),
        );
      });
      request.on("error", reject);
      send(
        (text) => request.write(text),
        () => request.end(),
      );
    });
  }

  /** Bytes as they are on a connection; gives all that comes back until it is closed. */
  async function raw(text: string): Promise<string> {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("latin1");
    socket.on("data", (part) => (answer += part));
    socket.on("error", () => {});
    socket.write(text);
    await once(socket, "close");
    return answer;
  }

  it("gives the value, with views of its vectors", async () => {
    const { status, body } = await post('{"vector":[1,2.5],"k":3}');
    expect(status).to.equal(200);
    expect(body).to.deep.equal({ value: { vector: 0, k: 3 }, values: [1, 2.5] });
  });

  it("takes application/json in UTF-8 only", async () => {
    for (const type of [
      "application/json",
      "Application/JSON; charset=UTF-8",
      'application/json;charset="utf-8"',
    ]) {
      expect((await post("{}", { "content-type": type })).status, type).to.equal(200);
    }
    for (const type of [
      "text/plain",
      "application/json; charset=latin1",
      "application/jsonp",
      "",
    ]) {
      const { status, body } = await post("{}", { "content-type": type });
      expect(status, type).to.equal(415);
      expect(body.code).to.equal("UNSUPPORTED_MEDIA_TYPE");
    }
    const form = await post("{}", { "content-type": "application/x-www-form-urlencoded" });
    expect(form.body.message).to.contain("add -H 'Content-Type: application/json'");
    expect((await post("{}", { ...json, "content-encoding": "compress" })).status).to.equal(415);
  });

  it("says where the JSON is broken", async () => {
    const { status, body } = await post('{"filter":{"a":[1,}}');
    expect(status).to.equal(400);
    const message = "expected something else than '}', at byte 18";
    expect(body).to.deep.equal({
      code: "INVALID_JSON",
      message: `/filter/a/1: ${message}`,
      errors: [{ pointer: "/filter/a/1", message }],
    });
    expect((await post("")).body.message).to.contain("empty");
  });

  it("refuses a body over the limit, whole, declared or in chunks", async () => {
    const exact = `{"a":"${"x".repeat(limits.bytesMax - 8)}"}`;
    expect((await post(exact)).status).to.equal(200);
    expect((await post(`${exact} `)).body.code).to.equal("BODY_TOO_LARGE");
    expect((await post("x".repeat(50 * limits.bytesMax))).status).to.equal(413);
    const chunked = await postChunked((write, end) => {
      for (let index = 0; index < 80; index++) write(" ".repeat(8 * KIB));
      end();
    });
    expect(chunked.status).to.equal(413);
    const declared = await raw(
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n`,
    );
    expect(declared).to.match(/^HTTP\/1\.1 413 /);
    expect(declared).to.match(/\r\nConnection: close\r\n/i);
  });

  it("answers an endless body with 413 and hangs up", async () => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (part) => (answer += part));
    socket.on("error", () => {});
    socket.write(
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    const timer = setInterval(() => socket.write(`10000\r\n${" ".repeat(65536)}\r\n`), 2);
    await once(socket, "close");
    clearInterval(timer);
    expect(answer).to.match(/^HTTP\/1\.1 413 /);
  });

  it("answers silence and slowness with 408", async () => {
    const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    const silent = await raw(`${head}Content-Length: 100\r\n\r\n{"vector":[1,`);
    expect(silent).to.match(/^HTTP\/1\.1 408 /);
    const started = performance.now();
    const slow = await new Promise<Answer>((resolve, reject) => {
      postChunked((write) => {
        const timer = setInterval(() => write(" "), 50);
        setTimeout(() => clearInterval(timer), 1000);
      }).then(resolve, reject);
    });
    expect(slow.status).to.equal(408);
    expect(performance.now() - started).to.be.above(500);
  });

  it("lets go of a body whose sender hangs up", async () => {
    const socket = connect(port, "127.0.0.1");
    socket.write(
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(faults).to.deep.equal(["INVALID_REQUEST"]);
    expect((await post("{}")).status).to.equal(200);
  });

  it("refuses more bodies at once than the thread may gather, and recovers", async () => {
    const half = " ".repeat(200 * KIB);
    const answers = await Promise.all(
      [0, 1, 2].map(() =>
        postChunked((write, end) => {
          write(half);
          setTimeout(() => {
            write("{}");
            end();
          }, 100);
        }),
      ),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).to.deep.equal([200, 200, 503]);
    expect((await post(`${half}{}`)).status).to.equal(200);
  });

  it("serves many requests at once, each its own vector", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => post(JSON.stringify({ vector: Array(500).fill(n) }))),
    );
    for (const [n, { body }] of answers.entries()) {
      expect(body.values).to.deep.equal(Array(500).fill(n));
    }
  });
});
