/**
 * The page that shows the OpenAPI document, with all it is made of: Swagger UI from the package
 * that is installed, served from here, so that it works without any other machine. It runs under a
 * policy that allows files of this server and nothing else: no script in the page, no eval.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import helmet from "helmet";

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OmenDB Server</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/begin.js"></script>
</body>
</html>
`;

// The document is not sent to anybody's validator.
const BEGIN = `"use strict";
window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
});
`;

export interface DocsFile {
  readonly type: string;
  readonly bytes: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
};

export const DOCS_PAGE: DocsFile = {
  type: "text/html; charset=utf-8",
  bytes: Buffer.from(PAGE),
};

const files = new Map<string, Promise<DocsFile>>([
  [
    "begin.js",
    Promise.resolve({ type: "text/javascript; charset=utf-8", bytes: Buffer.from(BEGIN) }),
  ],
]);

/** Undefined for a name that the page does not use. Read once a thread. */
export function docsFile(name: string): Promise<DocsFile> | undefined {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type !== undefined && !files.has(name)) files.set(name, read(name, type));
  return files.get(name);
}

async function read(name: string, type: string): Promise<DocsFile> {
  const manifest = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
  try {
    return { type, bytes: await readFile(join(dirname(manifest), name)) };
  } catch (error) {
    files.delete(name);
    throw error;
  }
}

/** The header's value, as helmet writes it. */
export const DOCS_POLICY = policy();

function policy(): string {
  let value = "";
  const set = helmet.contentSecurityPolicy({
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      // Its icons lie in its style sheet.
      imgSrc: ["'self'", "data:"],
      connectSrc: ["'self'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
    },
  });
  const recorder = { setHeader: (_name: string, text: string) => (value = text) };
  set({} as never, recorder as never, () => undefined);
  return value;
}
