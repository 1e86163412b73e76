/** One search, and many in one request. */
import type { Request, Response } from "express";
import type { Static } from "typebox";
import type {
  CollectionView,
  Explanation,
  SearchAnswer,
  SearchQuery,
} from "../../collections/database.ts";
import { compileFilter } from "../../collections/filter.ts";
import { vectorFrom } from "../../collections/floats.ts";
import { OmenError } from "../../errors.ts";
import { traceWithin } from "../../tracing.ts";
import { JsonText, SLICE_HITS, tookMs } from "../answer.ts";
import { ArrowAnswer } from "../arrow/write.ts";
import type { ScannedBody } from "../body.ts";
import {
  collectionOf,
  type Door,
  goOnWith,
  type Handlers,
  isTurnOver,
  nextTurn,
  withBody,
} from "../door.ts";
import { ARROW_MEDIA, JSON_MEDIA, mediaOf, OCTETS_MEDIA } from "../media.ts";
import { parametersOf } from "../parameters.ts";
import { OctetsQuery } from "../queries.ts";
import { checkVector } from "../rows.ts";
import { SearchBatchBody, SearchBody } from "../schemas.ts";
import { validator } from "../validate.ts";

const K_DEFAULT = 10;
const NANOSECONDS_PER_MS = 1e6;

const checkSearch = validator(SearchBody);
const checkSearches = validator(SearchBatchBody);

/** What a search of a collection without rows found. */
const NOTHING: SearchAnswer = {
  hits: [],
  explanation: { strategy: "exact", matching: 0, ef: 0, distancesComputed: 0 },
};

export function searchRoutes(door: Door): Handlers<"search" | "searchMany"> {
  const { bodies, control, turnstile, vectorLimit } = door;
  /** Only ever filled and emptied without a turn between, so all searches of a thread share it. */
  const shared = new JsonText();

  /** Searches that read a whole collection have to come through the turnstile first. */
  async function find(
    collection: CollectionView | undefined,
    query: SearchQuery,
  ): Promise<SearchAnswer> {
    const work = collection?.work(query);
    return work === undefined || work.isWalk
      ? await findNow(collection, query)
      : await turnstile.pass(work.components, () => findNow(collection, query));
  }

  async function findNow(
    collection: CollectionView | undefined,
    query: SearchQuery,
  ): Promise<SearchAnswer> {
    control.count("searches");
    if (collection === undefined) return NOTHING;
    const begunAtMs = performance.now();
    const answer = await collection.search(query);
    control.observe("searchTime", (performance.now() - begunAtMs) * NANOSECONDS_PER_MS);
    control.observe("distances", answer.explanation.distancesComputed);
    return answer;
  }

  async function answerSearch(
    request: Request,
    response: Response,
    body: Static<typeof SearchBody>,
    scanned: Pick<ScannedBody, "vector">,
  ): Promise<void> {
    const begunAtMs = performance.now();
    const collection = collectionOf(door, request);
    const query = queryOf(body, scanned, collection, "");
    vectorLimit.spend(request, 1);
    const { hits, explanation } = await traceWithin(
      response.locals.trace,
      "search",
      () => find(collection, query),
      attributesOf,
    );
    const isLong = hits.length > SLICE_HITS;
    const text = isLong ? new JsonText() : shared;
    text.clear();
    text.text('{"results":');
    if (isLong) await text.hitsInSlices(hits, body.vector_format);
    else text.hits(hits, body.vector_format);
    if (body.explain) text.text(',"explain":').explanation(explanation);
    text.text(`,"took_ms":${tookMs(begunAtMs)}}`).send(response);
  }

  /** The query is the body, all else is in the address. */
  async function searchOctets(request: Request, response: Response): Promise<void> {
    const parameters = parametersOf(request, OctetsQuery.properties);
    const reading = bodies.gather(request, async (chunks) => vectorFrom(chunks, "/vector"));
    const values = await goOnWith(reading, request, response);
    const body = checkSearch({ vector: 0, ...parameters });
    await answerSearch(request, response, body, {
      vector: () => ({ values, count: values.length }),
    });
  }

  /** All hits in one batch; a column says which search each belongs to. */
  async function answerArrow(
    response: Response,
    collection: CollectionView | undefined,
    queries: readonly SearchQuery[],
  ): Promise<void> {
    const answer = new ArrowAnswer("hits", collection?.settings.dimensions ?? 1, {
      vector: queries.some((query) => query.includeVector),
      metadata: queries.some((query) => query.includeMetadata),
    });
    let begunAtMs = performance.now();
    for (const [index, query] of queries.entries()) {
      for (const hit of (await findNow(collection, query)).hits) answer.hit(hit, index);
      if (!isTurnOver(begunAtMs)) continue;
      await nextTurn();
      begunAtMs = performance.now();
    }
    await answer.send(response);
  }

  return {
    search: (request, response) => {
      if (mediaOf(request, [JSON_MEDIA, OCTETS_MEDIA]) === OCTETS_MEDIA) {
        return searchOctets(request, response);
      }
      return withBody(door, request, response, checkSearch, (body, scanned) =>
        answerSearch(request, response, body, scanned),
      );
    },

    searchMany: (request, response) =>
      withBody(door, request, response, checkSearches, async (body, scanned) => {
        const begunAtMs = performance.now();
        const collection = collectionOf(door, request);
        const queries = body.searches.map((search, index) =>
          queryOf(search, scanned, collection, `/searches/${index}`),
        );
        vectorLimit.spend(request, queries.length);
        // Walks count here: each is short, but there may be thousands, as wide as they like.
        const works = queries.map((query) => collection?.work(query).components ?? 0);
        const work = works.reduce((sum, each) => sum + each, 0);
        if (response.locals.media === ARROW_MEDIA) {
          return turnstile.pass(work, () => answerArrow(response, collection, queries));
        }
        const text = new JsonText().text('{"results":[');
        const explanations: (Explanation | null)[] = [];
        await turnstile.pass(work, async () => {
          let sliceBegunAtMs = begunAtMs;
          for (const [index, query] of queries.entries()) {
            const { hits, explanation } = await findNow(collection, query);
            text.text(index === 0 ? "" : ",");
            await text.hitsInSlices(hits, body.searches[index]!.vector_format);
            explanations.push(body.searches[index]!.explain ? explanation : null);
            if (isTurnOver(sliceBegunAtMs)) {
              await nextTurn();
              sliceBegunAtMs = performance.now();
            }
          }
        });
        text.text("]");
        if (explanations.some((each) => each !== null)) writeExplanations(text, explanations);
        text.text(`,"took_ms":${tookMs(begunAtMs)}}`).send(response);
      }),
  };
}

function queryOf(
  body: Static<typeof SearchBody>,
  scanned: Pick<ScannedBody, "vector">,
  collection: CollectionView | undefined,
  pointer: string,
): SearchQuery {
  const vector = scanned.vector(body.vector).values;
  if (body.ef !== undefined && body.recall_target !== undefined) refuseBoth(pointer);
  if (collection !== undefined) checkVector(vector, collection.settings, `${pointer}/vector`);
  return {
    vector,
    k: body.k ?? K_DEFAULT,
    ef: body.ef,
    recallTarget: body.recall_target,
    exact: body.exact ?? false,
    maxDistance: body.max_distance,
    filter: body.filter === undefined ? undefined : compileFilter(body.filter, `${pointer}/filter`),
    includeMetadata: body.include_metadata ?? true,
    includeVector: body.include_vector ?? false,
  };
}

function refuseBoth(pointer: string): never {
  const at = `${pointer}/recall_target`;
  const message = "expected either ef or recall_target, got both";
  throw new OmenError("INVALID_REQUEST", `${at}: ${message}`, {
    errors: [{ pointer: at, message }],
  });
}

function attributesOf({ hits, explanation }: SearchAnswer) {
  return {
    "omendb.strategy": explanation.strategy,
    "omendb.ef": explanation.ef,
    "omendb.distances_computed": explanation.distancesComputed,
    "omendb.hits": hits.length,
  };
}

function writeExplanations(text: JsonText, explanations: readonly (Explanation | null)[]): void {
  text.text(',"explain":[');
  for (const [index, explanation] of explanations.entries()) {
    if (index > 0) text.text(",");
    if (explanation === null) text.text("null");
    else text.explanation(explanation);
  }
  text.text("]");
}
