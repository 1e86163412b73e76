/** A progress bar on a terminal, a plain line at each tenth where the output is a file or a pipe. */

export interface Progress {
  update(done: number): void;
  end(): void;
}

const WIDTH = 40;

export function startProgress(label: string, total: number): Progress {
  const stream = process.stderr;
  const start = performance.now();
  let tenths = 0;
  let drawn = -1;
  const rate = (done: number) => Math.round((done * 1000) / (performance.now() - start));
  const draw = (done: number) => {
    const filled = Math.floor((WIDTH * done) / total);
    if (filled === drawn) return;
    drawn = filled;
    const bar = "#".repeat(filled).padEnd(WIDTH, ".");
    stream.write(`\r${label} [${bar}] ${done}/${total} ${rate(done)}/s `);
  };
  const write = (done: number) => {
    const reached = Math.floor((10 * done) / total);
    if (reached === tenths) return;
    tenths = reached;
    stream.write(`${label} ${done}/${total} ${rate(done)}/s\n`);
  };
  return {
    update: stream.isTTY ? draw : write,
    end: () => stream.isTTY && stream.write("\n"),
  };
}
