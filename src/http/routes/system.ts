/** How the server is, for people, orchestrators and Prometheus. */
import type { Response } from "express";
import { OmenError } from "../../errors.ts";
import { sendJson } from "../answer.ts";
import { DOCS_PAGE, DOCS_POLICY, type DocsFile, docsFile } from "../docsPage.ts";
import { type Door, type Handlers, maySee } from "../door.ts";
import { METRICS_TYPE, type Metrics } from "../metrics.ts";
import { openApiDocument } from "../openapi.ts";

type Names = "health" | "live" | "ready" | "metrics" | "openapi" | "docs" | "docsFile";

export function systemRoutes(door: Door, metrics: Metrics): Handlers<Names> {
  const document = JSON.stringify(openApiDocument(door.version));

  function answerHealth(response: Response, isWell: boolean): void {
    const { status, progress, reason } = door.database.health();
    const uptime_seconds = Math.round(process.uptime() * 1000) / 1000;
    const body = { status, version: door.version, uptime_seconds, progress, reason };
    if (!isWell) response.setHeader("Retry-After", "1");
    sendJson(response, JSON.stringify(body), isWell ? 200 : 503);
  }

  return {
    health: (_request, response) =>
      answerHealth(response, door.database.health().status === "healthy"),

    live: (_request, response) => sendJson(response, '{"status":"alive"}'),

    // Reads go on after a disk fault, so only loading makes it not ready.
    ready: (_request, response) =>
      answerHealth(response, door.database.health().status !== "starting"),

    metrics: async (_request, response) => {
      const text = Buffer.from(await metrics.text((name) => maySee(response, name)));
      response.setHeader("Content-Type", METRICS_TYPE);
      response.setHeader("Content-Length", text.length);
      response.end(text);
    },

    openapi: (_request, response) => sendJson(response, document),

    docs: (_request, response) => {
      response.setHeader("Content-Security-Policy", DOCS_POLICY);
      sendFile(response, DOCS_PAGE);
    },

    docsFile: async (request, response) => {
      const file = await docsFile(String(request.params.file));
      if (file === undefined) throw new OmenError("NOT_FOUND", "the page has no such file");
      response.setHeader("Cache-Control", `private, max-age=${FILE_AGE_SECONDS}`);
      sendFile(response, file);
    },
  };
}

/** The page's parts change with the server only. */
const FILE_AGE_SECONDS = 3600;

function sendFile(response: Response, { type, bytes }: DocsFile): void {
  response.setHeader("Content-Type", type);
  response.setHeader("Content-Length", bytes.length);
  response.end(bytes);
}
