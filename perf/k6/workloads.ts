/**
 * What one iteration of a workload asks of the server, and how its answer is judged. Queries carry
 * the distance of their exact k-th row, so recall is measured in the script, on every answer.
 */
import { check } from "k6";
import http, { type RefinedResponse, type RequestBody } from "k6/http";
import { Counter, Rate, Trend } from "k6/metrics";
import { K, KEY, type Prepared, type Scenario, SHELVES } from "../scenarios.ts";

/** What one float32 rounding may add to a distance. */
const TOLERANCE = 1e-5;
const PAGE_ROWS = 1000;
const TYPES = {
  json: "application/json",
  octets: "application/octet-stream",
  base64: "application/json",
  arrow: "application/vnd.apache.arrow.stream",
} as const;

export interface Work {
  /** How many iterations there are where the data says so. */
  readonly iterations: number;
  run(iteration: number, phase: string): Promise<void>;
}

const recall = new Trend("recall");
const rows = new Counter("rows");
const refused = new Rate("refused");

const url = __ENV.URL!;
const prepared = JSON.parse(open(__ENV.DATA!)) as Prepared;

/** In the init context: bodies are read and made before the clock starts. */
export function prepare(scenario: Scenario): Work {
  const { workload, shape } = scenario;
  if (workload.kind === "ingest") return ingest(workload.body);
  if (workload.kind === "scroll") return scroll(shape.kind === "batches" ? shape.clients : 1);
  if (workload.kind === "keys") return keys();
  if (workload.kind === "mixed") return mixed(workload.searches);
  return search(workload.body, workload.filtered === true);
}

type Answer = RefinedResponse<"text">;

async function send(
  method: string,
  path: string,
  body: RequestBody | null,
  type: string,
  phase: string,
  key = KEY,
): Promise<Answer> {
  const headers = { "Content-Type": type, "X-API-Key": key };
  const response = await http.asyncRequest(method, url + path, body, {
    ...{ headers, tags: { phase }, responseType: "text" },
    // What the server refuses on purpose is counted apart, not as a failure.
    responseCallback: http.expectedStatuses({ min: 200, max: 299 }, 401, 429, 503),
  });
  refused.add(response.status === 429 || response.status === 503, { phase });
  return response as Answer;
}

interface Question {
  readonly body: RequestBody;
  readonly path: string;
  readonly bound: number;
}

function questions(body: "json" | "octets", filtered: boolean): Question[] {
  return prepared.queries.map(({ vector, bound, shelfBound }, query) => {
    if (body === "octets") {
      return { body: Float32Array.from(vector).buffer, path: `/search?k=${K}`, bound };
    }
    const filter = filtered ? { shelf: query % SHELVES } : undefined;
    return {
      body: JSON.stringify({ vector, k: K, filter }),
      path: "/search",
      bound: filtered ? shelfBound : bound,
    };
  });
}

/** Asks one question; recall counts the results no farther than the exact k-th row. */
async function ask(question: Question, type: string, phase: string, key = KEY): Promise<Answer> {
  const answer = await send("POST", question.path, question.body, type, phase, key);
  if (answer.status !== 200) return answer;
  const { results } = answer.json() as unknown as { results: { distance: number }[] };
  const right = results.filter(({ distance }) => distance <= question.bound * (1 + TOLERANCE));
  recall.add(Math.min(right.length, K) / K, { phase });
  return answer;
}

function search(body: "json" | "octets", filtered: boolean): Work {
  const all = questions(body, filtered);
  return {
    iterations: all.length,
    async run(iteration, phase) {
      await ask(all[iteration % all.length]!, TYPES[body], phase);
    },
  };
}

function ingest(body: "json" | "base64" | "arrow"): Work {
  const bodies = prepared.bodies.map((each) => ({ ...each, bytes: open(each.file, "b") }));
  return {
    iterations: bodies.length,
    async run(iteration, phase) {
      const batch = bodies[iteration % bodies.length]!;
      const answer = await send("POST", "/vectors/batch", batch.bytes, TYPES[body], phase);
      if (answer.status === 200) rows.add(batch.rows);
    },
  };
}

/** Written rows are copies of queries: they take places of their own, so recall is not judged. */
function mixed(searches: number): Work {
  const all = questions("json", false);
  return {
    iterations: all.length,
    async run(iteration, phase) {
      const turn = iteration % (searches + 1);
      if (turn < searches) {
        const { body, path } = all[iteration % all.length]!;
        await send("POST", path, body, TYPES.json, phase);
        return;
      }
      const write = Math.floor(iteration / (searches + 1));
      const { vector } = prepared.queries[write % prepared.queries.length]!;
      const body = JSON.stringify({ id: `mixed-${write}`, vector });
      const answer = await send("POST", "/vectors/add", body, TYPES.json, phase);
      if (answer.status === 200) rows.add(1);
      if (write % 2 === 0) return;
      await send("DELETE", `/vectors/mixed-${write - 1}`, null, TYPES.json, phase);
    },
  };
}

/** One iteration reads the whole collection. */
function scroll(readers: number): Work {
  return {
    iterations: readers,
    async run(_iteration, phase) {
      let cursor: string | undefined;
      do {
        const next = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
        const path = `/vectors?limit=${PAGE_ROWS}${next}`;
        const answer = await send("GET", path, null, TYPES.json, phase);
        if (answer.status !== 200) return;
        const page = answer.json() as unknown as { vectors: object[]; next_cursor?: string | null };
        rows.add(page.vectors.length);
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined);
    },
  };
}

function keys(): Work {
  const all = questions("json", false);
  return {
    iterations: all.length,
    async run(iteration, phase) {
      const isWrong = iteration % 2 === 1;
      const key = isWrong ? "not-the-key" : KEY;
      const answer = await ask(all[iteration % all.length]!, TYPES.json, phase, key);
      check(answer, {
        "a wrong key is refused": ({ status }) => !isWrong || status === 401 || status === 429,
        "a right key is let in": ({ status }) => isWrong || status === 200,
      });
    },
  };
}
