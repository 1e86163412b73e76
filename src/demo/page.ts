/**
 * The demo page: a snapshot is loaded and searched here, in the page, without a server. What
 * the page needs of the database is what any page would use: open, search, get, add, scroll, save.
 *
 *   ?snapshot=URL   another snapshot      ?store=NAME   another name on this device
 *   ?worker=0       everything in the page's own thread
 */
import { open } from "../browser/open.ts";
import type { Progress } from "../browser/opening.ts";
import type { PageCollection } from "../browser/page.ts";
import { openInWorker, type WorkerCollection } from "../browser/remote.ts";
import { forget, isStored } from "../browser/stored.ts";
import type { Hit } from "../client/types.ts";
import { PointMap } from "./map.ts";
import { type Plane, planeOf } from "./projection.ts";

interface Metadata {
  readonly title?: string;
  readonly kind?: string;
}

const K = 10;
const MIB = 1048576;
const HUES = 12;

const parameters = new URLSearchParams(location.search);
const snapshotUrl = parameters.get("snapshot") ?? "snapshot";
const storeName = parameters.get("store") ?? "demo";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const about = element("about");
const map = new PointMap(element<HTMLCanvasElement>("map"));

let collection: PageCollection | WorkerCollection;
let plane: Plane;
const ids: string[] = [];
const vectors: Float32Array[] = [];
const details: Metadata[] = [];
const places = new Map<string, number>();
const kinds: string[] = [];
let chosenKind: string | undefined;
let query: number | undefined;
let hits: readonly Hit[] = [];

function fail(error: unknown): void {
  const failure = element("failure");
  failure.textContent = error instanceof Error ? error.message : String(error);
  failure.hidden = false;
}

function showProgress({ loadedBytes, totalBytes, phase }: Progress): void {
  element("loading").hidden = false;
  element<HTMLProgressElement>("progress").value = totalBytes > 0 ? loadedBytes / totalBytes : 0;
  const size = `${(loadedBytes / MIB).toFixed(1)} of ${(totalBytes / MIB).toFixed(1)} MiB`;
  element("progress-text").textContent = `${phase}, ${size}`;
}

async function load(): Promise<void> {
  const start = performance.now();
  const isHere = await isStored(storeName);
  const source = isHere ? { opfs: storeName } : { url: new URL(snapshotUrl, location.href) };
  const way = parameters.get("worker") === "0" ? open : openInWorker;
  collection = await way({ ...source, onProgress: showProgress });
  const seconds = (performance.now() - start) / 1000;
  element("loading").hidden = true;
  await readRows();
  await showAbout(`from ${isHere ? "this device" : "the network"} in ${seconds.toFixed(2)} s`);
  showKept(isHere);
  showKinds();
  element("waiting").hidden = true;
  for (const id of ["save", "filter", "random"]) element<HTMLButtonElement>(id).disabled = false;
  await pick(Math.floor(ids.length / 2));
}

/** All rows once, for the map. */
async function readRows(): Promise<void> {
  for await (const { id, vector, metadata } of collection.scroll()) {
    takeRow(id, Float32Array.from(vector!), metadata as Metadata | null);
  }
  plane = planeOf(vectors);
  const [x, y] = [new Float32Array(ids.length), new Float32Array(ids.length)];
  const hue = new Uint16Array(ids.length);
  for (let row = 0; row < ids.length; row++) {
    [x[row], y[row]] = plane.place(vectors[row]!) as [number, number];
    hue[row] = hueOf(details[row]!);
  }
  map.setPoints(x, y, hue);
}

function takeRow(id: string, vector: Float32Array, metadata: Metadata | null): void {
  places.set(id, ids.length);
  ids.push(id);
  vectors.push(vector);
  details.push(metadata ?? {});
  const kind = metadata?.kind;
  if (kind !== undefined && !kinds.includes(kind) && kinds.length < HUES) kinds.push(kind);
}

function hueOf({ kind }: Metadata): number {
  const at = kind === undefined ? 0 : Math.max(0, kinds.indexOf(kind));
  return Math.round((360 * at) / Math.max(1, kinds.length) + 215) % 360;
}

const titleOf = (row: number) => details[row]?.title ?? ids[row] ?? "";

async function showAbout(whence: string): Promise<void> {
  const { vectors: count, dimensions, memory_bytes, wasm_variant } = await collection.stats();
  const memory = `${(memory_bytes / MIB).toFixed(0)} MiB`;
  const rows = `${count.toLocaleString("en")} rows of ${dimensions} dimensions`;
  about.textContent = `${rows}, ${memory}, engine ${wasm_variant}; ${whence}`;
}

function showKinds(): void {
  const chips = element("chips");
  chips.replaceChildren(
    ...kinds.map((kind) => {
      const chip = document.createElement("button");
      chip.type = "button";
      // The colour that its points have on the map.
      const dot = document.createElement("i");
      dot.className = "dot";
      dot.style.background = `hsl(${hueOf({ kind })} 55% 54%)`;
      chip.append(dot, kind);
      chip.setAttribute("aria-pressed", "false");
      chip.addEventListener("click", () => {
        chosenKind = chosenKind === kind ? undefined : kind;
        for (const other of chips.children) {
          other.setAttribute("aria-pressed", String(other.textContent === chosenKind));
        }
        void search();
      });
      return chip;
    }),
  );
}

function filterNow(): Record<string, unknown> | undefined {
  const text = element<HTMLInputElement>("text").value.trim();
  const conditions = {
    ...(text === "" ? {} : { title: { $contains: text } }),
    ...(chosenKind === undefined ? {} : { kind: chosenKind }),
  };
  return Object.keys(conditions).length === 0 ? undefined : conditions;
}

/** Which points pass, for the map only: the search itself asks the engine's columns. */
function passedBy(filter: Record<string, unknown> | undefined): Uint8Array | undefined {
  if (filter === undefined) return undefined;
  const text = element<HTMLInputElement>("text").value.trim();
  return Uint8Array.from(details, ({ title, kind }) =>
    Number((title ?? "").includes(text) && (chosenKind === undefined || kind === chosenKind)),
  );
}

async function pick(row: number): Promise<void> {
  query = row;
  await search();
}

async function search(): Promise<void> {
  if (query === undefined) return;
  try {
    const filter = filterNow();
    const vector = vectors[query]!;
    // The row itself is the first hit, and is not shown.
    const request = { vector, k: K + 1, filter, include_metadata: false } as const;
    const found = await collection.search({ ...request, explain: true });
    const truth = await collection.search({ ...request, exact: true });
    const own = ids[query];
    hits = found.results.filter(({ id }) => id !== own).slice(0, K);
    const bound = truth.results.at(-1)?.distance ?? 0;
    const right = found.results.filter(({ distance }) => distance <= bound).length;
    showFigures(found.took_ms, found.explain!, right / Math.max(1, truth.results.length));
    showHits(filter);
  } catch (error) {
    fail(error);
  }
}

function showFigures(
  milliseconds: number,
  explain: { readonly strategy: string; readonly distances_computed: number },
  recall: number,
): void {
  element("time").textContent = milliseconds.toFixed(milliseconds < 10 ? 2 : 1);
  element("distances").textContent = explain.distances_computed.toLocaleString("en");
  element("recall").textContent = recall.toFixed(2);
  element("strategy").textContent = explain.strategy;
}

function showHits(filter: Record<string, unknown> | undefined): void {
  element("query-title").textContent = titleOf(query!);
  element<HTMLButtonElement>("add-row").disabled = hits.length === 0;
  element("hits").replaceChildren(
    ...hits.map(({ id, distance }, index) => {
      const row = places.get(id)!;
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.append(
        part("place", String(index + 1)),
        part("title", titleOf(row)),
        part("distance", distance.toPrecision(4)),
      );
      button.addEventListener("click", () => void pick(row));
      item.append(button);
      return item;
    }),
  );
  const rows = hits.map(({ id }) => places.get(id)!);
  const passed = passedBy(filter);
  element("faded").hidden = passed === undefined;
  map.mark({ query, hits: rows, passed });
}

function part(name: string, text: string): HTMLSpanElement {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

/** Half way between the query and its nearest hit, under a title of the person's own. */
async function add(): Promise<void> {
  const nearest = hits[0] && places.get(hits[0].id);
  if (query === undefined || nearest === undefined) return;
  const vector = vectors[query]!.map((value, i) => (value + vectors[nearest]![i]!) / 2);
  const title = element<HTMLInputElement>("title");
  const { kind = "mine" } = details[query]!;
  const metadata = { title: title.value.trim() || "a row of my own", kind };
  const id = `own-${crypto.randomUUID()}`;
  await collection.add({ id, vector, metadata });
  takeRow(id, vector, metadata);
  const [x, y] = plane.place(vector);
  map.addPoint(x, y, hueOf(metadata));
  title.value = "";
  await showAbout("one of them yours");
  await pick(places.get(id)!);
}

function showKept(isKept: boolean): void {
  element<HTMLButtonElement>("forget").disabled = !isKept;
  element("kept").textContent = isKept
    ? "Kept here: this page also opens without the network."
    : "Nothing leaves this device. Keep the rows here, and the page opens without the network.";
}

async function save(): Promise<void> {
  await collection.save(storeName, { onProgress: showProgress });
  element("loading").hidden = true;
  showKept(true);
}

const guarded = (work: () => Promise<void>) => () => void work().catch(fail);

element("zoom-in").addEventListener("click", () => map.zoom(1.5));
element("zoom-out").addEventListener("click", () => map.zoom(1 / 1.5));
element("zoom-all").addEventListener("click", () => map.showAll());
element("random").addEventListener(
  "click",
  guarded(() => pick(Math.floor(Math.random() * ids.length))),
);
element("save").addEventListener("click", guarded(save));
element("forget").addEventListener(
  "click",
  guarded(async () => {
    await forget(storeName);
    showKept(false);
  }),
);
for (const [form, work] of [
  ["find", search],
  ["add", add],
] as const) {
  element<HTMLFormElement>(form).addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(work)();
  });
}
map.onPick = (row) => void pick(row);
map.onHover = (row, x, y) => {
  const hover = element("hover");
  hover.hidden = row === undefined;
  if (row === undefined) return;
  hover.textContent = titleOf(row);
  hover.classList.toggle("left", x > element("map").clientWidth / 2);
  hover.style.left = `${x}px`;
  hover.style.top = `${y}px`;
};

load().catch((error) => {
  about.textContent = "The snapshot could not be opened.";
  element("loading").hidden = true;
  element("waiting").hidden = true;
  fail(error);
});
