/**
 * Files beside the data that a running server reads again when they change: the keys, the keys of a
 * token's issuer, the certificate. The main thread looks at them, checks them, and hands their
 * texts to every listener; a listener never reads a file.
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
import { checkTls, type TlsTexts } from "../http/tls.ts";

const LOOK_MS = 500;

/** What a listener is given of them. */
export interface WatchedTexts extends AccessTexts {
  readonly tls?: TlsTexts;
}

/** Files that only make sense together, as a certificate and its key. */
interface Group {
  readonly setting: string;
  /** By the names that `take` knows them by. */
  readonly paths: Readonly<Record<string, string>>;
  /** What the texts come to. Throws INVALID_SETTING. */
  take(texts: Record<string, string>): WatchedTexts;
}

export interface WatchedFiles {
  /** As they were when they last were right. */
  readonly texts: WatchedTexts;
  /** Is given what has changed. */
  onChange?: (changed: WatchedTexts) => void;
  /** Looks now. */
  look(): void;
  stop(): void;
}

/** Throws INVALID_SETTING when a file cannot be read or is wrong. */
export function watchFiles(config: Config, log: Logger): WatchedFiles {
  const groups = groupsOf(config);
  const seen = new Map(groups.map((group) => [group, printOf(group)]));
  let texts: WatchedTexts = {};
  for (const group of groups) texts = { ...texts, ...read(group) };

  function look(): void {
    let changed: WatchedTexts = {};
    for (const group of groups) {
      const print = printOf(group);
      if (print === seen.get(group)) continue;
      seen.set(group, print);
      try {
        changed = { ...changed, ...read(group) };
        log.info(`${group.setting} was read again`);
      } catch (error) {
        log.error(`${(error as Error).message}; what was read before holds`);
      }
    }
    if (Object.keys(changed).length === 0) return;
    texts = { ...texts, ...changed };
    watched.onChange?.(changed);
  }
  const timer = groups.length === 0 ? undefined : setInterval(look, LOOK_MS).unref();
  const watched: WatchedFiles = {
    get texts() {
      return texts;
    },
    look,
    stop: () => clearInterval(timer),
  };
  return watched;
}

function groupsOf({ keysFile, jwtJwksFile, tlsCert, tlsKey, tlsCa }: Config): Group[] {
  const found: Group[] = [];
  if (keysFile !== undefined) {
    const take = ({ keys = "" }) => {
      parseKeyFile(keys);
      return { keys };
    };
    found.push({ setting: "OMENDB_KEYS_FILE", paths: { keys: keysFile }, take });
  }
  if (jwtJwksFile !== undefined) {
    const take = ({ keySet = "" }) => {
      checkKeySet(keySet);
      return { keySet };
    };
    found.push({ setting: "OMENDB_JWT_JWKS_FILE", paths: { keySet: jwtJwksFile }, take });
  }
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const paths = { cert: tlsCert, key: tlsKey, ...(tlsCa === undefined ? {} : { ca: tlsCa }) };
    const take = ({ cert = "", key = "", ca }: Partial<Record<string, string>>) => {
      const tls = { cert, key, ca };
      checkTls(tls);
      return { tls };
    };
    found.push({ setting: "OMENDB_TLS_CERT", paths, take });
  }
  return found;
}

/** Another print, another text. A file that is not there has one too. */
function printOf({ paths }: Group): string {
  const prints = Object.values(paths).map((path) => {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  });
  return prints.join("; ");
}

function read({ setting, paths, take }: Group): WatchedTexts {
  const shown = Object.values(paths).join(", ");
  try {
    return take(
      Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, textOf(path)])),
    );
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = error instanceof OmenError ? message : `it cannot be read (${code})`;
    throw new OmenError("INVALID_SETTING", `${setting}: ${shown}: ${why}`);
  }
}

function textOf(path: string): string {
  if (statSync(path).size > KEY_FILE_BYTES_MAX) {
    throw new OmenError("INVALID_SETTING", `it is over ${KEY_FILE_BYTES_MAX} bytes`);
  }
  return readFileSync(path, "utf8");
}
