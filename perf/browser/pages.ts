/**
 * A small file server for pages under test and for the demo: one folder, and answers made on the
 * spot. With `isolated` pages get the headers that let them share memory between threads.
 */
import { once } from "node:events";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

export interface Pages {
  readonly url: string;
  /** Bytes of bodies that were sent. */
  sent(): number;
  close(): Promise<void>;
}

export type Answering = (request: IncomingMessage, response: ServerResponse) => void;

export async function servePages(
  folder: string,
  answers: Readonly<Record<string, Answering>> = {},
  { isolated = true, port = 0 } = {},
): Promise<Pages> {
  let sent = 0;
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url!, "http://page").pathname));
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    response.setHeader("Cache-Control", "no-store");
    const answer = answers[path];
    if (answer !== undefined) return answer(request, response);
    const file = join(folder, path === "/" ? "index.html" : path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      return void response.writeHead(404, { "content-type": "text/plain" }).end("not here");
    }
    sent += sendFile(file, request, response);
  });
  server.listen({ port, host: "127.0.0.1" });
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sent: () => sent,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Answers with a file or the range of it that was asked for; returns how many bytes. */
export function sendFile(file: string, request: IncomingMessage, response: ServerResponse): number {
  const { size } = statSync(file);
  const type = TYPES[extname(file)] ?? "application/octet-stream";
  const headers = { "content-type": type, "accept-ranges": "bytes" };
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (asked === null) {
    response.writeHead(200, { ...headers, "content-length": size });
    createReadStream(file).pipe(response);
    return size;
  }
  const start = Number(asked[1]);
  const end = Math.min(asked[2] === "" ? size - 1 : Number(asked[2]), size - 1);
  const range = { "content-range": `bytes ${start}-${end}/${size}` };
  response.writeHead(206, { ...headers, ...range, "content-length": end - start + 1 });
  createReadStream(file, { start, end }).pipe(response);
  return end - start + 1;
}
