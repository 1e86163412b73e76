/** Stands in for the module `k6/metrics`. */
import type { MetricKind, Tags } from "../record.ts";
import { recorder } from "../run.ts";

abstract class Metric {
  readonly name: string;

  constructor(name: string, kind: MetricKind) {
    this.name = name;
    recorder.define(name, kind);
  }

  add(value: number | boolean, tags?: Tags): void {
    recorder.add(this.name, Number(value), tags);
  }
}

export class Counter extends Metric {
  constructor(name: string) {
    super(name, "counter");
  }
}

export class Gauge extends Metric {
  constructor(name: string) {
    super(name, "gauge");
  }
}

export class Rate extends Metric {
  constructor(name: string) {
    super(name, "rate");
  }
}

export class Trend extends Metric {
  constructor(name: string) {
    super(name, "trend");
  }
}
