/**
 * The process's log: JSON lines on stdout, written at once, so that a thread's last words are not
 * lost.
 */
import { type Logger, pino } from "pino";
import type { Config } from "../config.ts";

export function createLog(config: Pick<Config, "logLevel">): Logger {
  const destination = pino.destination({ fd: 1, sync: true });
  return pino({ level: config.logLevel, base: undefined }, destination);
}
