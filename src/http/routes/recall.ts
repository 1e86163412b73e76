/** What recall searches have, and what a target comes to. */
import { sendJson, tookMs } from "../answer.ts";
import { collectionOf, type Door, type Handlers } from "../door.ts";
import { parametersOf } from "../parameters.ts";
import { RecallParameters } from "../schemas.ts";
import { validator } from "../validate.ts";

const SAMPLE = 100;
const K = 10;

const checkRecall = validator(RecallParameters);
const rounded = (value: number) => Math.round(value * 1e4) / 1e4;

export function recallRoutes(door: Door): Handlers<"recall"> {
  return {
    recall: async (request, response) => {
      const begunAtMs = performance.now();
      const parameters = parametersOf(request, RecallParameters.properties);
      const { sample = SAMPLE, k = K } = checkRecall(parameters);
      const collection = collectionOf(door, request);
      const isAbandoned = () => request.socket.destroyed;
      door.vectorLimit.spend(request, sample);
      // Each of the sample is held against the whole collection.
      const { dimensions = 0 } = collection?.settings ?? {};
      const work = sample * (collection?.live ?? 0) * dimensions;
      const report = await door.turnstile.pass(work, async () =>
        collection?.recall({ sample, k, isAbandoned }),
      );
      const { calibration } = report ?? {};
      const body = {
        ...{ sample: report?.sample ?? 0, k },
        curve: (report?.curve ?? []).map(({ ef, recall, atLeast, distances, p50Ms }) => ({
          ...{ ef, recall: rounded(recall), at_least: rounded(atLeast) },
          ...{ distances: Math.round(distances), p50_ms: rounded(p50Ms) },
        })),
        targets: (report?.targets ?? []).map(({ target, ef }) => ({
          recall_target: target,
          ef: ef ?? null,
        })),
        calibration: calibration
          ? {
              ...{ sample: calibration.sample, rows: calibration.rows },
              age_seconds: rounded(calibration.ageSeconds),
            }
          : null,
        took_ms: tookMs(begunAtMs),
      };
      sendJson(response, JSON.stringify(body));
    },
  };
}
