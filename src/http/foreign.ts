/**
 * A server without a credential answers this machine alone, and a browser on this machine speaks
 * for any page that is open in it. So what such a page has it send is refused: by its Origin and by
 * the Host, which is the page's own where its name was made to lead here (DNS rebinding). Behind a
 * proxy that is trusted, Host is the proxy's affair.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Config } from "../config.ts";
import { OmenError } from "../errors.ts";

const LOOPBACK = /^(?:(?:[\w-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const SHOWN_MAX = 256;

/** Throws FORBIDDEN. */
export type ForeignCheck = (headers: IncomingHttpHeaders) => void;

export function createForeignCheck({ corsOrigins, trustProxy }: Config): ForeignCheck {
  const isAllowed = (origin: string) =>
    corsOrigins.includes("*") ||
    corsOrigins.includes(origin) ||
    LOOPBACK.test(origin.replace(/^https?:\/\//, ""));
  let hostSeen = "";

  return ({ host = "", origin }) => {
    if (origin !== undefined && !isAllowed(origin)) {
      throw refused(`pages of OMENDB_CORS_ORIGINS are served, got Origin ${origin}`);
    }
    // Most often it is the one of the request before.
    if (host === hostSeen || trustProxy !== undefined) return;
    if (host !== "" && !LOOPBACK.test(host)) {
      throw refused(`this machine alone is served: expected Host localhost, got ${host}`);
    }
    hostSeen = host;
  };
}

const refused = (why: string) =>
  new OmenError("FORBIDDEN", `without a key only ${why.slice(0, SHOWN_MAX)}`);
