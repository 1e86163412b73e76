/**
 * The metrics of a run, as k6 has them: counters, gauges, rates and trends, each sample with tags, and
 * thresholds over them. A threshold on `name{tag:value}` sees the samples with that tag only.
 */

export type MetricKind = "counter" | "gauge" | "rate" | "trend";
export type Tags = Readonly<Record<string, string>>;

interface Samples {
  readonly kind: MetricKind;
  readonly values: number[];
}

export interface Verdict {
  readonly metric: string;
  readonly threshold: string;
  readonly ok: boolean;
}

const SUBMETRIC = /^([\w]+)\{(\w+):([^}]*)\}$/;
const THRESHOLD =
  /^(avg|min|med|max|count|rate|value|p\((\d+(?:\.\d+)?)\)) *(<=|>=|===?|!=|<|>) *(\S+)$/;
const COMPARE: Record<string, (a: number, b: number) => boolean> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "==": (a, b) => a === b,
  "===": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

export class Recorder {
  readonly #samples = new Map<string, Samples>();
  /** The parts of a metric that are asked for: their names, by metric. */
  readonly #parts = new Map<string, { name: string; tag: string; value: string }[]>();

  define(name: string, kind: MetricKind): void {
    if (!this.#samples.has(name)) this.#samples.set(name, { kind, values: [] });
  }

  /** Throws where a name or an expression is not one of k6's. */
  follow(thresholds: Readonly<Record<string, readonly string[]>>): void {
    for (const [name, expressions] of Object.entries(thresholds)) {
      for (const expression of expressions) parse(expression);
      const [, metric, tag, value] = SUBMETRIC.exec(name) ?? [];
      const base = this.#samples.get(metric ?? name);
      if (base === undefined) throw new Error(`no metric is called ${metric ?? name}`);
      if (metric === undefined) continue;
      this.#samples.set(name, { kind: base.kind, values: [] });
      const parts = this.#parts.get(metric) ?? [];
      this.#parts.set(metric, [...parts, { name, tag: tag!, value: value! }]);
    }
  }

  add(name: string, value: number, tags: Tags = {}): void {
    this.#samples.get(name)!.values.push(value);
    for (const part of this.#parts.get(name) ?? []) {
      if (tags[part.tag] === part.value) this.#samples.get(part.name)!.values.push(value);
    }
  }

  judge(thresholds: Readonly<Record<string, readonly string[]>>): Verdict[] {
    return Object.entries(thresholds).flatMap(([metric, expressions]) => {
      const { kind, values } = this.#samples.get(metric)!;
      const sorted = values.toSorted((a, b) => a - b);
      return expressions.map((threshold) => {
        const { statistic, percent, compare, bound } = parse(threshold);
        const found = statisticOf(kind, sorted, statistic, percent);
        return { metric, threshold, ok: compare(found, bound) };
      });
    });
  }

  /** What k6 hands to handleSummary, for the statistics that the scripts here ask for. */
  summary(verdicts: readonly Verdict[], seconds: number): object {
    const metrics = [...this.#samples].map(([name, { kind, values }]) => {
      const own = verdicts.filter(({ metric }) => metric === name);
      const thresholds = Object.fromEntries(own.map(({ threshold, ok }) => [threshold, { ok }]));
      return [name, { type: kind, values: valuesOf(kind, values, seconds), thresholds }];
    });
    return {
      metrics: Object.fromEntries(metrics),
      state: { testRunDurationMs: seconds * 1000 },
    };
  }
}

function parse(expression: string) {
  const [, statistic, percent, operator, bound] = THRESHOLD.exec(expression.trim()) ?? [];
  if (statistic === undefined || !Number.isFinite(Number(bound))) {
    throw new Error(`"${expression}" is no threshold`);
  }
  return {
    statistic,
    percent: Number(percent),
    compare: COMPARE[operator!]!,
    bound: Number(bound),
  };
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

/** Of nothing, every statistic is 0. */
function statisticOf(
  kind: MetricKind,
  sorted: readonly number[],
  statistic: string,
  percent: number,
): number {
  if (statistic === "count") return kind === "counter" ? sumOf(sorted) : sorted.length;
  if (sorted.length === 0) return 0;
  if (statistic === "rate" || statistic === "avg") return sumOf(sorted) / sorted.length;
  if (statistic === "min") return sorted[0]!;
  if (statistic === "max") return sorted.at(-1)!;
  return percentile(sorted, statistic === "med" ? 50 : percent);
}

/** Between two samples by their distance, as k6 does. */
export function percentile(sorted: readonly number[], percent: number): number {
  const at = (percent / 100) * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low);
}

function valuesOf(kind: MetricKind, values: number[], seconds: number): Record<string, number> {
  if (kind === "counter") return { count: sumOf(values), rate: sumOf(values) / seconds };
  if (kind === "gauge") return { value: values.at(-1) ?? 0 };
  if (kind === "rate") {
    const passes = sumOf(values);
    const rate = values.length === 0 ? 0 : passes / values.length;
    return { rate, passes, fails: values.length - passes };
  }
  const sorted = values.toSorted((a, b) => a - b);
  const of = (statistic: string, percent = 0) => statisticOf(kind, sorted, statistic, percent);
  return {
    ...{ avg: of("avg"), min: of("min"), med: of("med"), max: of("max"), count: values.length },
    ...{ "p(95)": of("p", 95), "p(99)": of("p", 99) },
  };
}
