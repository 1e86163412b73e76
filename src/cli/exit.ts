/**
 * How the program ends. The codes are part of its interface: scripts branch on them, so each means
 * one thing in every command.
 */
import { CommanderError } from "commander";
import { OmenDBError } from "../client/index.ts";
import { ERRORS, OmenError } from "../errors.ts";

export const EXIT = {
  DONE: 0,
  FAILED: 1,
  USAGE: 2,
  DAMAGED: 3,
  FORMAT: 4,
  UNREACHABLE: 5,
  FORBIDDEN: 6,
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** In the order of the codes, as help shows them. */
export const EXIT_MEANINGS = [
  [EXIT.DONE, "done"],
  [EXIT.FAILED, "failed; the message says what stood in the way"],
  [EXIT.USAGE, "wrong command, flag, argument or setting; nothing was touched"],
  [EXIT.DAMAGED, "a file that was read or checked is damaged"],
  [EXIT.FORMAT, "a file has a format version that this build does not open"],
  [EXIT.UNREACHABLE, "the server could not be reached or broke off"],
  [EXIT.FORBIDDEN, "the server refused the key, or the key's role"],
  [EXIT.INTERRUPTED, "interrupted; what can be resumed says so"],
] as const;

/** What whoever typed the command has to change. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** A failure as shown: a code for machines, a sentence for people, and how the process ends. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly exit: ExitCode;
  /** For what nobody foresaw. */
  readonly stack?: string;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, "").replace(/\n\((.*)\)$/s, ". $1");
    return { code: "USAGE", message, exit: EXIT.USAGE };
  }
  if (error instanceof UsageError) {
    return { code: "USAGE", message: error.message, exit: EXIT.USAGE };
  }
  if (error instanceof Interrupted) {
    return { code: "INTERRUPTED", message: error.message, exit: EXIT.INTERRUPTED };
  }
  if (error instanceof OmenDBError) {
    const { code, message, status } = error;
    return { code, message, exit: status === 0 ? EXIT.UNREACHABLE : exitOfStatus(status) };
  }
  if (error instanceof OmenError) {
    return { code: error.code, message: error.message, exit: exitOf(error.code) };
  }
  const { code, message, stack } = error as NodeJS.ErrnoException;
  const isForeseen = typeof code === "string" && /^E[A-Z0-9]+$/.test(code);
  if (isForeseen) return { code, message, exit: EXIT.FAILED };
  return { code: "INTERNAL", message: message ?? String(error), exit: EXIT.FAILED, stack };
}

function exitOf(code: keyof typeof ERRORS): ExitCode {
  if (code === "CORRUPT_FILE") return EXIT.DAMAGED;
  if (code === "UNSUPPORTED_FORMAT") return EXIT.FORMAT;
  return exitOfStatus(ERRORS[code].status);
}

function exitOfStatus(status: number): ExitCode {
  return status === 401 || status === 403 ? EXIT.FORBIDDEN : EXIT.FAILED;
}
