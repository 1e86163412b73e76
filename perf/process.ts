/** What the kernel says another process has used; undefined where there is no /proc. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../test/server.ts";

const CLOCK_TICKS_PER_SECOND = 100;
/** What the kernel counts blocks in, whatever the file system. */
const BLOCK_BYTES = 512;

/** User and system time of all its threads. */
export function cpuSecondsOf(pid: number): number | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The program's name may hold spaces, so fields are counted from the bracket that ends it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

/**
 * The same to the nanosecond, where the kernel's clock ticks are too long: of the threads that live,
 * for one that ends takes its time along.
 */
export function cpuSecondsOfThreads(pid: number): number | undefined {
  const folder = `/proc/${pid}/task`;
  const nanoseconds = (existsSync(folder) ? readdirSync(folder) : []).map((thread) =>
    Number(read(`${folder}/${thread}/schedstat`)?.split(" ")[0]),
  );
  const sum = nanoseconds.reduce((total, each) => total + each, 0);
  return sum > 0 ? sum / 1e9 : cpuSecondsOf(pid);
}

/** Of a core: what a process at rest uses at most. */
const REST_SHARE = 0.05;

/**
 * Waits, `secondsMax` at most, until little CPU time is used within a second. False where it was
 * not; true at once where nobody knows.
 */
export async function untilAtRest(
  cpuSeconds: () => number | undefined,
  secondsMax: number,
): Promise<boolean> {
  for (let second = 0; second < secondsMax; second++) {
    const before = cpuSeconds();
    await pause(1000);
    const after = cpuSeconds();
    if (before === undefined || after === undefined || after - before < REST_SHARE) return true;
  }
  return false;
}

export function residentBytesOf(pid: number): number | undefined {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** What the files of a folder hold on the disk, all levels. */
export function folderBytes(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => {
    return sum + statSync(join(parentPath, name)).blocks * BLOCK_BYTES;
  }, 0);
}
