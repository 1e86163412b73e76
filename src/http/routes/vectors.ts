/** Rows in, rows out, rows gone. */
import type { Request, Response } from "express";
import type { Row, RowsToWrite, Terms } from "../../collections/database.ts";
import { compileFilter, type Filter } from "../../collections/filter.ts";
import type { Once } from "../../collections/ledger.ts";
import { patchRow } from "../../collections/patch.ts";
import { OmenError } from "../../errors.ts";
import { JsonText, sendJson } from "../answer.ts";
import { readArrow } from "../arrow/read.ts";
import { ArrowAnswer, wantedBy } from "../arrow/write.ts";
import { etagOf, expectedBy, expectNoCondition, isAnswered } from "../conditions.ts";
import {
  collectionName,
  collectionOf,
  type Door,
  goOn,
  goOnWith,
  type Handlers,
  isTurnOver,
  nextTurn,
  settingsOfFirst,
  withBody,
} from "../door.ts";
import { ingest } from "../ingest.ts";
import { expectNoKey, keyed, type WriteOnce, type Written } from "../keyed.ts";
import { ARROW_MEDIA, JSON_MEDIA, LINES_MEDIA, mediaOf } from "../media.ts";
import { parametersOf } from "../parameters.ts";
import { BatchQuery, RowQuery } from "../queries.ts";
import {
  checkVectors,
  idOfPath,
  patchToMerge,
  rowsToWrite,
  rowToWrite,
  settingsFor,
} from "../rows.ts";
import {
  AddBody,
  BatchEnvelope,
  BatchRow,
  CountBody,
  DeleteBody,
  GetBody,
  PatchBody,
  type VectorFormat,
} from "../schemas.ts";
import { filterWork, Turnstile } from "../turnstile.ts";
import { validator } from "../validate.ts";

type Names =
  | ("addRow" | "addRows" | "patchRow")
  | ("getRow" | "getRows")
  | ("deleteRow" | "deleteRows" | "countRows");

const checkAdd = validator(AddBody);
const checkBatch = validator(BatchEnvelope);
const checkBatchQuery = validator(BatchQuery);
const checkRowQuery = validator(RowQuery);
const checkRow = validator(BatchRow);
const checkPatch = validator(PatchBody);
const checkGet = validator(GetBody);
const checkCount = validator(CountBody);
const checkDelete = validator(DeleteBody);

export function vectorRoutes(door: Door): Handlers<Names> {
  const { bodies, database, control, turnstile, vectorLimit } = door;
  const { metric } = door.config;
  /** For answers that are written without a turn between. */
  const shared = new JsonText();
  /** The writer's thread looks for what a filter removes, so this one's searches wait for none. */
  const removals = new Turnstile(control, door.config.scanWaitMs);

  /** The rows are read before this waits, so the body's memory is free while the write is not. */
  async function put(
    request: Request,
    rows: RowsToWrite,
    onRead: () => void,
    onSent?: () => void,
  ): Promise<Written> {
    const name = collectionName(request);
    const defaults = settingsOfFirst(door, request, rows.dimensions);
    const { sequence } = await database.put(name, rows, defaults, onRead, onSent);
    control.count("rowsInserted", rows.ids.length);
    return { sequence };
  }

  async function remove(
    request: Request,
    ids: readonly string[],
    terms: Terms = {},
  ): Promise<Written> {
    if (collectionOf(door, request) === undefined) {
      if (terms.expected === undefined || terms.expected[0] === "absent") return NOTHING;
      throw new OmenError("PRECONDITION_FAILED", "no row has this id");
    }
    const written = await database.remove(collectionName(request), ids, terms);
    control.count("rowsDeleted", written.deleted);
    return written;
  }

  async function removeMatching(request: Request, filter: Filter, once?: Once): Promise<Written> {
    const collection = collectionOf(door, request);
    if (collection === undefined) return NOTHING;
    const removing = () => database.removeMatching(collectionName(request), filter, once);
    const written = await removals.pass(filterWork(collection), removing);
    control.count("rowsDeleted", written.deleted);
    return written;
  }

  async function putLines(request: Request, response: Response): Promise<void> {
    expectNoKey(request, "lines are written in parts");
    const { mode = "upsert" } = checkBatchQuery(parametersOf(request, BatchQuery.properties));
    const collection = collectionOf(door, request);
    const parts = bodies.lines(request);
    response.locals.isUnhurried = true;
    if (request.headers.expect !== undefined) goOn(response);
    const { accepted, sequence } = await ingest(parts, {
      mode,
      check: checkRow,
      settings: (vector, id) => settingsFor(collection, metric, vector, "/vector", id),
      put: async (rows, onRead, onSent) => {
        await vectorLimit.wait(request, rows.ids.length);
        return (await put(request, rows, onRead, onSent)).sequence;
      },
    });
    const counts = `"count":${accepted},"accepted":${accepted}`;
    sendJson(response, `{"status":"ok",${counts},"sequence":${sequence}}`);
  }

  async function putArrow(request: Request, response: Response, write: WriteOnce): Promise<void> {
    const { mode = "upsert" } = checkBatchQuery(parametersOf(request, BatchQuery.properties));
    const collection = collectionOf(door, request);
    const judge = (texts: Uint8Array[]) => bodies.judge(texts);
    const reading = bodies.gather(request, (chunks) => readArrow(chunks, judge));
    const rows = await goOnWith(reading, request, response);
    await checkVectors(rows, collection, metric);
    vectorLimit.spend(request, rows.ids.length);
    const { sequence } = await write((once) =>
      put(request, { ...rows, mode, once }, () => undefined),
    );
    sendJson(response, `{"status":"ok","count":${rows.ids.length},"sequence":${sequence}}`);
  }

  return {
    countRows: (request, response) =>
      withBody(door, request, response, checkCount, async (body, scanned) => {
        scanned.release();
        const { filter } = body;
        const compiled = filter === undefined ? undefined : compileFilter(filter, "/filter");
        const collection = collectionOf(door, request);
        const work = compiled && filterWork(collection);
        const count = await turnstile.pass(work ?? 0, async () => collection?.count(compiled) ?? 0);
        sendJson(response, `{"count":${count}}`);
      }),

    addRow: keyed(door, "addRow", (request, response, write) =>
      withBody(door, request, response, checkAdd, async (body, scanned) => {
        const expected = expectedBy(request);
        const rows = rowToWrite(body, scanned, collectionOf(door, request), metric);
        vectorLimit.spend(request, 1);
        const { sequence } = await write((once) =>
          put(request, { ...rows, expected, once }, () => scanned.release()),
        );
        response.setHeader("ETag", etagOf(sequence));
        const id = JSON.stringify(rows.ids[0]);
        sendJson(response, `{"status":"ok","id":${id},"sequence":${sequence}}`);
      }),
    ),

    addRows: keyed(door, "addRows", async (request, response, write) => {
      expectNoCondition(request);
      const media = mediaOf(request, [JSON_MEDIA, LINES_MEDIA, ARROW_MEDIA]);
      if (media === LINES_MEDIA) return putLines(request, response);
      if (media === ARROW_MEDIA) return putArrow(request, response, write);
      return withBody(door, request, response, checkBatch, async (body, scanned) => {
        const collection = collectionOf(door, request);
        const rows = await rowsToWrite(body, scanned, checkRow, collection, metric);
        const count = rows.ids.length;
        vectorLimit.spend(request, count);
        const { sequence } = await write((once) =>
          put(request, { ...rows, once }, () => scanned.release()),
        );
        sendJson(response, `{"status":"ok","count":${count},"sequence":${sequence}}`);
      });
    }),

    getRow: (request, response) => {
      const id = idOfPath(request.params.id);
      const { vector_format } = checkRowQuery(parametersOf(request, RowQuery.properties));
      const row = collectionOf(door, request)?.get(id);
      if (row === undefined) throw new OmenError("ROW_NOT_FOUND", `no row has this id`);
      if (isAnswered(request, response, row.version)) return undefined;
      if (response.locals.media === ARROW_MEDIA) return sendRow(response, row);
      return writeRow(shared, row, { vector_format }).send(response);
    },

    patchRow: keyed(door, "patchRow", (request, response, write) =>
      withBody(door, request, response, checkPatch, async (body, scanned) => {
        const id = idOfPath(request.params.id);
        const expected = expectedBy(request)?.[0];
        const patch = patchToMerge(body, scanned, collectionOf(door, request), id);
        scanned.release();
        vectorLimit.spend(request, 1);
        const name = collectionName(request);
        const { sequence } = await write((once) =>
          patchRow(database, name, id, patch, expected, once),
        );
        control.count("rowsInserted", 1);
        response.setHeader("ETag", etagOf(sequence));
        const named = JSON.stringify(id);
        sendJson(response, `{"status":"ok","id":${named},"sequence":${sequence}}`);
      }),
    ),

    getRows: (request, response) =>
      withBody(door, request, response, checkGet, async (body) => {
        const collection = collectionOf(door, request);
        if (response.locals.media === ARROW_MEDIA) {
          const answer = new ArrowAnswer(
            "rows",
            collection?.settings.dimensions ?? 1,
            wantedBy(body),
          );
          for (const [index, id] of body.ids.entries()) {
            if (index % 256 === 255) await nextTurn();
            answer.row(String(id), collection?.get(String(id)));
          }
          return answer.send(response);
        }
        const text = new JsonText().text('{"vectors":[');
        let begunAtMs = performance.now();
        for (const [index, id] of body.ids.entries()) {
          const row = collection?.get(String(id));
          if (index > 0) text.text(",");
          if (row === undefined) text.text("null");
          else writeRow(text, row, body);
          if (isTurnOver(begunAtMs)) {
            await nextTurn();
            begunAtMs = performance.now();
          }
        }
        text.text("]}").send(response);
      }),

    deleteRow: keyed(door, "deleteRow", async (request, response, write) => {
      const expected = expectedBy(request);
      const ids = [idOfPath(request.params.id)];
      sendGone(response, await write((once) => remove(request, ids, { expected, once })));
    }),

    deleteRows: keyed(door, "deleteRows", (request, response, write) =>
      withBody(door, request, response, checkDelete, async (body, scanned) => {
        scanned.release();
        expectNoCondition(request);
        const { ids, filter } = body;
        if (ids === undefined) {
          const compiled = compileFilter(filter, "/filter");
          sendGone(response, await write((once) => removeMatching(request, compiled, once)));
          return;
        }
        const distinct = [...new Set(ids.map(String))];
        sendGone(response, await write((once) => remove(request, distinct, { once })));
      }),
    ),
  };
}

const NOTHING: Written = { sequence: 0, deleted: 0 };

function sendGone(response: Response, { deleted = 0, sequence }: Written): void {
  sendJson(response, `{"status":"ok","deleted":${deleted},"sequence":${sequence}}`);
}

function sendRow(response: Response, row: Row): Promise<void> {
  const answer = new ArrowAnswer("rows", row.vector.length, wantedBy({}));
  answer.row(row.id, row);
  return answer.send(response);
}

/** What a client wants of each row; everything when it does not say. */
export interface Included {
  readonly include_vector?: boolean;
  readonly include_metadata?: boolean;
  readonly vector_format?: VectorFormat;
}

export function writeRow(text: JsonText, row: Row, included: Included = {}): JsonText {
  text.text(`{"id":${JSON.stringify(row.id)}`);
  if (included.include_vector ?? true) {
    text.text(',"vector":').vector(row.vector, included.vector_format);
  }
  if (included.include_metadata ?? true) {
    text.text(',"metadata":');
    if (row.metadata === undefined) text.text("null");
    else text.splice(row.metadata);
  }
  return text.text(`,"version":${row.version}}`);
}
