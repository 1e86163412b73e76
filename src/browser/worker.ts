/** The program of the worker that holds a collection for a page; remote.ts is its other end. */
import type { Row } from "../client/types.ts";
import { OmenError } from "../errors.ts";
import { type OpenOptions, open } from "./open.ts";
import type { Progress } from "./opening.ts";
import type { PageCollection } from "./page.ts";
import type { FromWorker, ToWorker } from "./remote.ts";

const PAGE_ROWS = 1000;

let collection: PageCollection;
/** Scrolls that are under way, by the number that the other end calls their cursor. */
const scrolls = new Map<number, AsyncGenerator<Row>>();
let scrollCount = 0;

const say = (message: FromWorker, moved: Transferable[] = []) =>
  (globalThis as unknown as Worker).postMessage(message, moved);

async function answer({ ticket, method, args }: ToWorker): Promise<unknown> {
  const onProgress = (progress: Progress) => say({ ticket, kind: "progress", progress });
  if (method === "open") {
    collection = await open({ ...(args[0] as OpenOptions), onProgress });
    return undefined;
  }
  if (method === "page") return await page(args[0] as object, args[1] as number | undefined);
  if (method === "save") return await collection.save(args[0] as string, { onProgress });
  if (method === "export") return await collection.export({ onProgress });
  const call = collection[method as "search"] as (...args: unknown[]) => Promise<unknown>;
  return await call.apply(collection, args as unknown[]);
}

async function page(options: object, cursor?: number): Promise<[Row[], number | undefined]> {
  const at = cursor ?? ++scrollCount;
  const scroll = scrolls.get(at) ?? collection.scroll(options);
  scrolls.set(at, scroll);
  const rows: Row[] = [];
  while (rows.length < PAGE_ROWS) {
    const { done, value } = await scroll.next();
    if (done) {
      scrolls.delete(at);
      return [rows, undefined];
    }
    rows.push(value);
  }
  return [rows, at];
}

/** Vectors stand alone in their memory when they were made for this answer. */
function vectorsOf(value: unknown): Transferable[] {
  const found = new Set<ArrayBuffer>();
  const look = (each: unknown): void => {
    if (each instanceof Float32Array) {
      const { buffer } = each;
      if (buffer instanceof ArrayBuffer && buffer.byteLength === each.byteLength) found.add(buffer);
    } else if (Array.isArray(each)) each.forEach(look);
    else if (typeof each === "object" && each !== null && !(each instanceof Blob)) {
      Object.values(each).forEach(look);
    }
  };
  look(value);
  return [...found];
}

globalThis.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  const { ticket } = data;
  try {
    const value = await answer(data);
    say({ ticket, kind: "answer", value }, vectorsOf(value));
  } catch (error) {
    const code = error instanceof OmenError ? error.code : "INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    say({ ticket, kind: "failure", code, message });
  }
};
