/** What was found of the servers, as tables, and this server's lead over each of the others. */
import type { ServersData } from "../servers.ts";
import type { ServerResult } from "./entrant.ts";

export function describeServers({ about, results, absent }: ServersData, k: number): string {
  const lines = [
    `${about.data}, k ${k}`,
    `${about.machine}, client on the same machine`,
    results.map(({ name, version }) => `${name} ${version}`).join("; "),
  ];
  for (const target of results[0]?.points.map((point) => point.target) ?? []) {
    lines.push("", ...searchesAt(results, target));
  }
  lines.push("", ...others(results), "", ...leads(results));
  const reasons = results.flatMap((result) =>
    Object.entries(result.reasons).map(([what, why]) => `${result.name}, ${what}: ${why}`),
  );
  const notes = results.flatMap(({ name, notes }) => notes.map((note) => `${name}: ${note}`));
  const missing = Object.entries(absent).map(([name, why]) => `${name} was not run: ${why}`);
  return [...lines, "", ...reasons, ...notes, ...missing].join("\n").trimEnd();
}

function searchesAt(results: readonly ServerResult[], target: number): string[] {
  const heads = ["us CPU a search", "1 client", "p99", "16 clients", "p99"];
  const rows = results.map(({ name, points }) => {
    const { ef, recall, speeds } = points.find((point) => point.target === target)!;
    if (ef === null) return [name, `never (${recall.toFixed(3)})`, "-", "-", "-", "-"];
    const rates = speeds.flatMap(({ perSecond, p99Ms }) => [
      `${whole(perSecond)}/s`,
      `${p99Ms.toFixed(1)} ms`,
    ]);
    return [name, whole(speeds[0]!.cpuMicroseconds), ...rates];
  });
  return table([`recall@10 ${target}`, ...heads], rows);
}

function others(results: readonly ServerResult[]): string[] {
  const heads = [
    ...["rows/s until indexed", "1 % filter: recall", "searches/s", "p99", "us CPU", "short of k"],
    ...["own bytes a row", "resident bytes a row", "disk bytes a row", "restart, s"],
  ];
  const rows = results.map((result) => {
    const { recall, short, perSecond, p99Ms, cpuMicroseconds } = result.filtered;
    return [
      ...[result.name, whole(result.rowsPerSecond), recall.toFixed(3), whole(perSecond)],
      ...[`${p99Ms.toFixed(1)} ms`, whole(cpuMicroseconds), String(short)],
      ...[whole(result.ownBytesPerRow), whole(result.residentBytesPerRow)],
      ...[whole(result.diskBytesPerRow), result.restartSeconds?.toFixed(2) ?? "-"],
    ];
  });
  return table(["", ...heads], rows);
}

/** How many times what the first server needs, or gets done, the others need or get done. */
function leads([ours, ...rivals]: readonly ServerResult[]): string[] {
  if (ours === undefined || rivals.length === 0) return [];
  const cpuAt = ({ points }: ServerResult, at: number) =>
    points[at]?.speeds[0]?.cpuMicroseconds ?? null;
  const rows = rivals.map((rival) => [
    rival.name,
    times(cpuAt(rival, 0), cpuAt(ours, 0)),
    times(cpuAt(rival, 1), cpuAt(ours, 1)),
    times(ours.rowsPerSecond, rival.rowsPerSecond),
    times(ours.filtered.perSecond, rival.filtered.perSecond),
    times(rival.ownBytesPerRow, ours.ownBytesPerRow),
    times(rival.residentBytesPerRow, ours.residentBytesPerRow),
  ]);
  const heads = ["searches a CPU second at 0.95", "at 0.99", "ingest", "filtered searches/s"];
  return table([`${ours.name} over`, ...heads, "own bytes", "resident bytes"], rows);
}

const times = (more: number | null, less: number | null) =>
  more === null || less === null ? "-" : `${(more / less).toFixed(1)}x`;

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heads), `|${"---|".repeat(heads.length)}`, ...rows.map(line)];
}

const whole = (value: number | null) =>
  value === null ? "-" : Math.round(value).toLocaleString("en-US");
