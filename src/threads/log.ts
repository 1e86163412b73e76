/**
 * The process's log, on stdout: JSON lines, written at once, so that a thread's last words are not
 * lost; for people when stdout is a terminal.
 */
import { isatty } from "node:tty";
import { type Logger, pino } from "pino";
import { build } from "pino-pretty";
import type { Config } from "../config.ts";

const STDOUT = 1;

export function createLog(config: Pick<Config, "logLevel">): Logger {
  const destination = isatty(STDOUT)
    ? build({ destination: STDOUT, sync: true, translateTime: "SYS:HH:MM:ss.l", singleLine: true })
    : pino.destination({ fd: STDOUT, sync: true });
  return pino({ level: config.logLevel, base: undefined }, destination);
}
