/**
 * An image over HTTP. Where the server answers ranges, each run of chunks is a request of its own,
 * a few at a time, and goes from the network into the memory it is for. Where it does not, the
 * whole file is fetched first. A file that is replaced meanwhile is told by its ETag.
 */
import { OmenError } from "../errors.ts";
import type { ByteSource } from "../storage/image.ts";
import { blobSource } from "./blob.ts";

export interface Download {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Of a file that is fetched as a whole, while it comes. */
  readonly onBytes?: (loaded: number, total: number) => void;
}

/** What the first request asks for: the head, and with small files everything. */
const FIRST_BYTES = 1024 * 1024;
const RUN_BYTES = 4 * 1024 * 1024;

/** Throws OmenError with what the address answered, NOT_FOUND where it was 404. */
export async function openNetwork(url: URL, options: Download = {}): Promise<ByteSource> {
  const response = await ask(url, options, `bytes=0-${FIRST_BYTES - 1}`);
  const type = response.headers.get("content-type") ?? "";
  if (/^text\/|\b(xml|json)\b/.test(type)) {
    await response.body?.cancel();
    throw new OmenError("CORRUPT_FILE", `${url}: expected a snapshot, got ${type}`);
  }
  const size = Number(response.headers.get("content-range")?.match(/\/(\d+)$/)?.[1]);
  if (response.status === 206 && !Number.isSafeInteger(size)) {
    await response.body?.cancel();
    throw new OmenError("CORRUPT_FILE", `${url}: a part of a file, and no word of its size`);
  }
  if (response.status !== 206) {
    return blobSource(url.href, await whole(response, options));
  }
  const first = new Uint8Array(await response.arrayBuffer());
  const etag = response.headers.get("etag");
  return {
    name: url.href,
    size,
    runBytes: RUN_BYTES,
    async read(offset, target) {
      if (offset + target.length <= first.length) {
        target.set(first.subarray(offset, offset + target.length));
        return target.length;
      }
      const range = `bytes=${offset}-${offset + target.length - 1}`;
      const part = await ask(url, options, range);
      if (part.headers.get("etag") !== etag) {
        await part.body?.cancel();
        throw new OmenError("CORRUPT_FILE", `${url} was replaced: open it anew`);
      }
      if (part.status !== 206) {
        await part.body?.cancel();
        throw new OmenError("CORRUPT_FILE", `${url}: asked for ${range}, got the whole file`);
      }
      return await pour(part, target);
    },
  };
}

/** What comes is put where it belongs as it comes. */
async function pour({ body }: Response, target: Uint8Array): Promise<number> {
  let at = 0;
  const reader = body!.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const bytes = read.value.subarray(0, target.length - at);
    target.set(bytes, at);
    at += bytes.length;
  }
  return at;
}

async function whole(response: Response, { onBytes }: Download): Promise<Blob> {
  const total = Number(response.headers.get("content-length") ?? 0);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  const reader = response.body?.getReader();
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
    parts.push(read.value as Uint8Array<ArrayBuffer>);
    loaded += read.value.length;
    onBytes?.(loaded, Math.max(total, loaded));
  }
  return new Blob(parts);
}

async function ask(url: URL, { headers = {}, signal }: Download, range: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { ...headers, range }, signal: signal ?? null });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OmenError("NOT_FOUND", `${url} cannot be reached: ${reason}`, { cause });
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const code = response.status === 401 ? "UNAUTHENTICATED" : "NOT_FOUND";
  throw new OmenError(code, `${url} answered ${response.status} ${response.statusText}`.trim());
}
