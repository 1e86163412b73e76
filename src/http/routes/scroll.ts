/** All rows of a collection, a page at a time. */
import { refused } from "../../collections/cursor.ts";
import type { Row } from "../../collections/database.ts";
import { compileFilter } from "../../collections/filter.ts";
import { JsonText } from "../answer.ts";
import { ArrowAnswer, wantedBy } from "../arrow/write.ts";
import { collectionOf, type Door, type Handlers } from "../door.ts";
import { ARROW_MEDIA } from "../media.ts";
import { parametersOf } from "../parameters.ts";
import { ScrollParameters } from "../schemas.ts";
import { filterWork } from "../turnstile.ts";
import { validator } from "../validate.ts";
import { writeRow } from "./vectors.ts";

const PAGE_ROWS = 100;

const checkScroll = validator(ScrollParameters);

export function scrollRoutes(door: Door): Handlers<"scroll"> {
  return {
    scroll: async (request, response) => {
      const parameters = parametersOf(request, ScrollParameters.properties);
      const { limit = PAGE_ROWS, cursor, filter, ...included } = checkScroll(parameters);
      const collection = collectionOf(door, request);
      const query = {
        ...{ limit, cursor },
        filter: filter === undefined ? undefined : compileFilter(filter, "/filter"),
        isAbandoned: () => request.socket.destroyed,
      };
      if (collection === undefined && cursor !== undefined) throw refused("there are no rows");
      const work = query.filter === undefined ? 0 : filterWork(collection);
      const page = (onRow: (row: Row) => void) =>
        door.turnstile.pass(work, async () => collection?.scroll(query, onRow));
      if (response.locals.media === ARROW_MEDIA) {
        const dimensions = collection?.settings.dimensions ?? 1;
        const answer = new ArrowAnswer("rows", dimensions, wantedBy(included));
        const next = await page((row) => answer.row(row.id, row));
        return answer.send(response, next === undefined ? {} : { next_cursor: next });
      }
      const text = new JsonText().text('{"vectors":[');
      let rowCount = 0;
      const next = await page((row) => {
        if (rowCount++ > 0) text.text(",");
        writeRow(text, row, included);
      });
      text.text(`],"next_cursor":${JSON.stringify(next ?? null)}}`).send(response);
    },
  };
}
