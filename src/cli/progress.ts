/**
 * How far something is, on stderr: a bar that is drawn over itself on a terminal, a line now and
 * then elsewhere, and nothing with --json.
 */
const BAR_CELLS = 24;
const DRAW_MS = 100;
const LINE_MS = 10_000;

export class Progress {
  readonly #what: string;
  readonly #isSilent: boolean;
  readonly #begunAtMs = performance.now();
  /** Rows that were there before, and are not of this run's rate. */
  readonly #rowsBefore: number;
  readonly #stream = process.stderr;
  #shownAtMs = performance.now();
  #isDrawn = false;

  constructor(what: string, isSilent: boolean, rowsBefore = 0) {
    this.#what = what;
    this.#isSilent = isSilent;
    this.#rowsBefore = rowsBefore;
  }

  get seconds(): number {
    return (performance.now() - this.#begunAtMs) / 1000;
  }

  rowsPerSecond(rows: number): number {
    return Math.round((rows - this.#rowsBefore) / Math.max(1e-3, this.seconds));
  }

  /** `share` is 0 to 1, undefined where nobody knows the whole. */
  show(rows: number, share?: number): void {
    if (this.#isSilent) return;
    const now = performance.now();
    const { isTTY } = this.#stream;
    if (now - this.#shownAtMs < (isTTY ? DRAW_MS : LINE_MS)) return;
    this.#shownAtMs = now;
    const counts = `${rows.toLocaleString("en-US")} rows`;
    const rate = `${this.rowsPerSecond(rows).toLocaleString("en-US")} rows/s`;
    const parts = [this.#what, counts, rate];
    if (share !== undefined && share > 0) {
      const percent = `${(share * 100).toFixed(1)}%`;
      const filled = Math.round(Math.min(1, share) * BAR_CELLS);
      const bar = `[${"#".repeat(filled)}${".".repeat(BAR_CELLS - filled)}] ${percent}`;
      parts.splice(1, 0, isTTY ? bar : percent);
      parts.push(`${timeShown((this.seconds * (1 - share)) / share)} left`);
    }
    const line = parts.join("  ");
    this.#stream.write(
      isTTY ? `\r\u001b[2K${line.slice(0, this.#stream.columns - 1)}` : `${line}\n`,
    );
    this.#isDrawn = true;
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.#isDrawn && this.#stream.isTTY) this.#stream.write("\r\u001b[2K");
    this.#isDrawn = false;
  }
}

export function timeShown(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
