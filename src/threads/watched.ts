/**
 * Files beside the data that a running server reads again when they change: the keys, and the keys
 * of a token's issuer. The main thread looks at them, checks them, and hands their texts to every
 * listener; a listener never reads a file.
 *
 * They are looked at by their name twice a second, because that also sees a file that was replaced,
 * as editors and secret stores do. What is wrong with a new text is logged, and the old one holds.
 */
import { readFileSync, statSync } from "node:fs";
import type { Logger } from "pino";
import type { AccessTexts } from "../access/access.ts";
import { KEY_FILE_BYTES_MAX, parseKeyFile } from "../access/keyFile.ts";
import { checkKeySet } from "../access/tokens.ts";
import type { Config } from "../config.ts";
import { OmenError } from "../errors.ts";

const LOOK_MS = 500;

interface Watched {
  readonly setting: string;
  readonly path: string;
  readonly part: keyof AccessTexts;
  /** Throws INVALID_SETTING. */
  check(text: string): void;
}

export interface WatchedFiles {
  /** As they were when they last were right. */
  readonly texts: AccessTexts;
  /** Is given what has changed. */
  onChange?: (changed: AccessTexts) => void;
  /** Looks now. */
  look(): void;
  stop(): void;
}

/** Throws INVALID_SETTING when a file cannot be read or is wrong. */
export function watchFiles(config: Config, log: Logger): WatchedFiles {
  const files = filesOf(config);
  const seen = new Map(files.map((file) => [file, printOf(file.path)]));
  let texts: AccessTexts = {};
  for (const file of files) texts = { ...texts, [file.part]: read(file) };

  function look(): void {
    const changed: Record<string, string> = {};
    for (const file of files) {
      const print = printOf(file.path);
      if (print === seen.get(file)) continue;
      seen.set(file, print);
      try {
        changed[file.part] = read(file);
        log.info({ file: file.path }, `${file.setting} was read again`);
      } catch (error) {
        log.error({ file: file.path }, `${(error as Error).message}; what was read before holds`);
      }
    }
    if (Object.keys(changed).length === 0) return;
    texts = { ...texts, ...changed };
    watched.onChange?.(changed);
  }
  const timer = files.length === 0 ? undefined : setInterval(look, LOOK_MS).unref();
  const watched: WatchedFiles = {
    get texts() {
      return texts;
    },
    look,
    stop: () => clearInterval(timer),
  };
  return watched;
}

function filesOf({ keysFile, jwtJwksFile }: Config): Watched[] {
  const found: Watched[] = [];
  if (keysFile !== undefined) {
    const setting = "OMENDB_KEYS_FILE";
    found.push({ setting, path: keysFile, part: "keys", check: parseKeyFile });
  }
  if (jwtJwksFile !== undefined) {
    const setting = "OMENDB_JWT_JWKS_FILE";
    found.push({ setting, path: jwtJwksFile, part: "keySet", check: checkKeySet });
  }
  return found;
}

/** Another print, another text. A file that is not there has one too. */
function printOf(path: string): string {
  const { ino, size, mtimeMs, ctimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

function read({ setting, path, check }: Watched): string {
  try {
    if (statSync(path).size > KEY_FILE_BYTES_MAX) {
      throw new OmenError("INVALID_SETTING", `it is over ${KEY_FILE_BYTES_MAX} bytes`);
    }
    const text = readFileSync(path, "utf8");
    check(text);
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = error instanceof OmenError ? message : `it cannot be read (${code})`;
    throw new OmenError("INVALID_SETTING", `${setting}: ${path}: ${why}`);
  }
}
