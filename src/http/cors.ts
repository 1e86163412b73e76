/** Lets pages of the named origins call, and answers their browsers' preflights before any key. */
import type { RequestHandler } from "express";

const PREFLIGHT_SECONDS = "600";
const EXPOSED =
  "X-Request-Id, ETag, Retry-After, RateLimit, RateLimit-Policy, Location, " +
  "Content-Disposition, Content-Range, Accept-Ranges";
const ACCEPTED =
  "Content-Type, X-API-Key, Authorization, X-Request-Id, If-Match, If-None-Match, " +
  "Idempotency-Key, Accept, Range, If-Range";

export function allowOrigins(origins: readonly string[]): RequestHandler {
  const isAnyone = origins.includes("*");
  const known = new Set(origins);
  return (request, response, next) => {
    const { origin } = request.headers;
    if (!isAnyone) response.setHeader("Vary", "Origin");
    if (origin === undefined || !(isAnyone || known.has(origin))) return next();
    response.setHeader("Access-Control-Allow-Origin", isAnyone ? "*" : origin);
    response.setHeader("Access-Control-Expose-Headers", EXPOSED);
    const isPreflight =
      request.method === "OPTIONS" &&
      request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) return next();
    response.setHeader("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE");
    response.setHeader("Access-Control-Allow-Headers", ACCEPTED);
    response.setHeader("Access-Control-Max-Age", PREFLIGHT_SECONDS);
    response.status(204).end();
  };
}
