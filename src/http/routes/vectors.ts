/** Rows in, rows out, rows gone. */
import type { Request } from "express";
import type { Row, RowsToWrite, Terms } from "../../collections/database.ts";
import { patchRow } from "../../collections/patch.ts";
import { OmenError } from "../../errors.ts";
import { JsonText, sendJson } from "../answer.ts";
import type { ScannedBody } from "../body.ts";
import { etagOf, expectedBy, expectNoCondition, isAnswered } from "../conditions.ts";
import {
  collectionName,
  collectionOf,
  type Door,
  defaultSettings,
  type Handlers,
  isTurnOver,
  nextTurn,
  withBody,
} from "../door.ts";
import { idOfPath, patchToMerge, rowsToWrite, rowToWrite } from "../rows.ts";
import { AddBody, BatchEnvelope, BatchRow, DeleteBody, GetBody, PatchBody } from "../schemas.ts";
import { validator } from "../validate.ts";

type Names =
  | ("addRow" | "addRows" | "patchRow")
  | ("getRow" | "getRows")
  | ("deleteRow" | "deleteRows");

const checkAdd = validator(AddBody);
const checkBatch = validator(BatchEnvelope);
const checkRow = validator(BatchRow);
const checkPatch = validator(PatchBody);
const checkGet = validator(GetBody);
const checkDelete = validator(DeleteBody);

export function vectorRoutes(door: Door): Handlers<Names> {
  const { database, control } = door;
  const { metric } = door.config;
  /** For answers that are written without a turn between. */
  const shared = new JsonText();

  /** The rows are read before this waits, so the body's memory is free while the write is not. */
  async function put(request: Request, rows: RowsToWrite, scanned: ScannedBody): Promise<number> {
    const isMade = collectionOf(door, request) === undefined;
    const defaults = isMade ? defaultSettings(rows.dimensions, metric) : undefined;
    const release = () => scanned.release();
    const { sequence } = await database.put(collectionName(request), rows, defaults, release);
    control.count("rowsInserted", rows.ids.length);
    return sequence;
  }

  async function remove(
    request: Request,
    ids: readonly string[],
    terms: Terms = {},
  ): Promise<string> {
    const name = collectionName(request);
    let deleted = 0;
    let sequence = 0;
    if (collectionOf(door, request) !== undefined) {
      ({ deleted, sequence } = await database.remove(name, ids, terms));
      control.count("rowsDeleted", deleted);
    } else if (terms.expected !== undefined && terms.expected[0] !== "absent") {
      throw new OmenError("PRECONDITION_FAILED", "no row has this id");
    }
    return `{"status":"ok","deleted":${deleted},"sequence":${sequence}}`;
  }

  return {
    addRow: (request, response) =>
      withBody(door, request, response, checkAdd, async (body, scanned) => {
        const terms = { expected: expectedBy(request) };
        const rows = rowToWrite(body, scanned, collectionOf(door, request), metric, terms);
        const sequence = await put(request, rows, scanned);
        response.setHeader("ETag", etagOf(sequence));
        const id = JSON.stringify(rows.ids[0]);
        sendJson(response, `{"status":"ok","id":${id},"sequence":${sequence}}`);
      }),

    addRows: (request, response) =>
      withBody(door, request, response, checkBatch, async (body, scanned) => {
        expectNoCondition(request);
        const collection = collectionOf(door, request);
        const rows = await rowsToWrite(body, scanned, checkRow, collection, metric);
        const sequence = await put(request, rows, scanned);
        sendJson(response, `{"status":"ok","count":${rows.ids.length},"sequence":${sequence}}`);
      }),

    getRow: (request, response) => {
      const id = idOfPath(request.params.id);
      const row = collectionOf(door, request)?.get(id);
      if (row === undefined) throw new OmenError("ROW_NOT_FOUND", `no row has this id`);
      if (!isAnswered(request, response, row.version)) {
        writeRow(shared, row, true).send(response);
      }
    },

    patchRow: (request, response) =>
      withBody(door, request, response, checkPatch, async (body, scanned) => {
        const id = idOfPath(request.params.id);
        const expected = expectedBy(request)?.[0];
        const patch = patchToMerge(body, scanned, collectionOf(door, request), id);
        scanned.release();
        const { sequence } = await patchRow(database, collectionName(request), id, patch, expected);
        control.count("rowsInserted", 1);
        response.setHeader("ETag", etagOf(sequence));
        const named = JSON.stringify(id);
        sendJson(response, `{"status":"ok","id":${named},"sequence":${sequence}}`);
      }),

    getRows: (request, response) =>
      withBody(door, request, response, checkGet, async (body) => {
        const collection = collectionOf(door, request);
        const text = new JsonText().text('{"vectors":[');
        let begunAtMs = performance.now();
        for (const [index, id] of body.ids.entries()) {
          const row = collection?.get(String(id));
          if (index > 0) text.text(",");
          if (row === undefined) text.text("null");
          else writeRow(text, row, body.include_vector ?? true);
          if (isTurnOver(begunAtMs)) {
            await nextTurn();
            begunAtMs = performance.now();
          }
        }
        text.text("]}").send(response);
      }),

    deleteRow: async (request, response) => {
      const terms = { expected: expectedBy(request) };
      sendJson(response, await remove(request, [idOfPath(request.params.id)], terms));
    },

    deleteRows: (request, response) =>
      withBody(door, request, response, checkDelete, async (body, scanned) => {
        scanned.release();
        expectNoCondition(request);
        sendJson(response, await remove(request, [...new Set(body.ids.map(String))]));
      }),
  };
}

function writeRow(text: JsonText, row: Row, isVectorIncluded: boolean): JsonText {
  text.text(`{"id":${JSON.stringify(row.id)}`);
  if (isVectorIncluded) text.text(',"vector":').vector(row.vector);
  text.text(',"metadata":');
  if (row.metadata === undefined) text.text("null");
  else text.splice(row.metadata);
  return text.text(`,"version":${row.version}}`);
}
