/**
 * `npm run test:deploy`: the files of docs/operations, each tried with the program it is for, in
 * front of real servers: nginx, HAProxy and Prometheus as Debian packages them. They are installed
 * when this runs as root; else what is missing is named. Only ports, paths and waiting times of the
 * files are changed, in copies. The two servers hold the same snapshot of the
 * demo's data. Prints a line for each check; ends with 1 when one failed.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Dataset, loadSift, recallOf } from "../perf/data.ts";
import { rowAt } from "../perf/exact.ts";
import { cpuSecondsOf } from "../perf/process.ts";
import { makeKeyring } from "./keyring.ts";
import {
  type Connection,
  connect,
  freePort,
  ok,
  pause,
  type Server,
  startServer,
} from "./server.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const operations = join(root, "docs", "operations");
const fixtures = join(root, "test", "fixtures", "tls");
const PACKAGES = { nginx: "nginx-light", haproxy: "haproxy", promtool: "prometheus" };
const QUERIES = 1000;
const READERS = 4;
const STEP_MS = 50;
const WAIT_MS = 30_000;
const NOTICED_MS = 2500;
/** Cores that a server at rest may use. */
const AT_REST = 0.05;
const REST_MS = 90_000;

const failures: string[] = [];
const children: ChildProcess[] = [];
const servers: Server[] = [];
const folder = mkdtempSync(join(tmpdir(), "omendb-deploy-"));
chmodSync(folder, 0o755);

function judge(isGood: boolean, sentence: string): void {
  console.log(`${isGood ? "  ok  " : " FAIL "} ${sentence}`);
  if (!isGood) failures.push(sentence);
}

const hasProgram = (name: string) => spawnSync("which", [name]).status === 0;

function install(): void {
  const missing = Object.entries(PACKAGES).filter(([program]) => !hasProgram(program));
  const names = missing.map(([, name]) => name);
  if (names.length === 0) return;
  if (process.getuid?.() !== 0 || !hasProgram("apt-get")) {
    console.log(`missing: install ${names.join(", ")}, or run this as root on Debian`);
    process.exit(1);
  }
  // At this run level no package starts its service.
  const env = { ...process.env, RUNLEVEL: "1", DEBIAN_FRONTEND: "noninteractive" };
  const options = { env, stdio: "inherit" } as const;
  execFileSync("apt-get", ["update", "-qq"], options);
  execFileSync("apt-get", ["install", "-y", "--no-install-recommends", ...names], options);
}

/** A copy of a file of docs/operations in which the given texts are replaced, each at least once. */
function adapt(name: string, changes: readonly [string | RegExp, string][]): string {
  let text = readFileSync(join(operations, name), "utf8");
  for (const [from, to] of changes) {
    const changed = text.replaceAll(from, to);
    if (changed === text) throw new Error(`${name} has no ${from}`);
    text = changed;
  }
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function passes(program: string, words: string[], input?: string): void {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8", input });
  const shown = words.map((word) => word.split("/").at(-1)).join(" ");
  judge(status === 0, `${program} ${shown}${status === 0 ? "" : `\n${stdout}${stderr}`}`);
}

function run(program: string, words: string[]): ChildProcess {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part) => (said += part));
  child.on("exit", (code) => code && console.log(`${program} ended with ${code}:\n${said}`));
  children.push(child);
  return child;
}

async function until(isTrue: () => Promise<boolean>, ms = WAIT_MS): Promise<boolean> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    if (await isTrue().catch(() => false)) return true;
    await pause(STEP_MS);
  }
  return false;
}

const trust = { ca: readFileSync(join(fixtures, "ca.pem")) };
const dataset = loadSift("sift100k");
const ring = makeKeyring([
  { name: "loader", role: "admin" },
  { name: "shop", role: "reader" },
]);
const keysFile = join(folder, "keys.json");
writeFileSync(keysFile, ring.text);
const readerHeaders = { "x-api-key": ring.keys.shop! };

async function serve(more: Record<string, string> = {}): Promise<Server> {
  const settings = { KEYS_FILE: keysFile, TRUST_PROXY: "loopback", LOG_LEVEL: "debug", ...more };
  const server = await startServer(settings);
  servers.push(server);
  return server;
}

async function load(server: Server, { base }: Dataset): Promise<void> {
  const client = server.connect({ "x-api-key": ring.keys.loader! });
  for (let first = 0; first < base.count; first += 1000) {
    const vectors = Array.from({ length: Math.min(1000, base.count - first) }, (_, index) => ({
      id: String(first + index),
      vector: Buffer.from(rowAt(base, first + index).slice().buffer).toString("base64"),
    }));
    const { status, text } = await client.post("/vectors/batch", { vectors });
    if (status !== 200) throw new Error(`a batch was answered ${status}: ${text}`);
  }
  await until(async () => (await client.get("/stats")).body.unindexed === 0);
  client.close();
  await untilAtRest(server);
}

/** Rows that were linked in haste are linked better afterwards, which changes what walks find. */
async function untilAtRest({ pid }: Server): Promise<void> {
  const isAtRest = async () => {
    const before = cpuSecondsOf(pid)!;
    await pause(1000);
    return cpuSecondsOf(pid)! - before < AT_REST;
  };
  if (!(await until(isAtRest, REST_MS))) console.log("      the server did not come to rest");
}

/** A snapshot of one server, restored on another, which then has the same rows and graph. */
async function restoreOn(two: Server, one: Server): Promise<void> {
  const [from, to] = [one, two].map((each) => each.connect({ "x-api-key": ring.keys.loader! }));
  const { id } = await ok(from!.post("/snapshots", ""), 202);
  const isReady = async () => (await from!.get(`/snapshots/${id}`)).body.status === "ready";
  if (!(await until(isReady))) throw new Error("the snapshot was not ready in time");
  const headers = { "x-api-key": ring.keys.loader! };
  const download = `http://127.0.0.1:${one.port}/snapshots/${id}/download`;
  const bytes = Buffer.from(await (await fetch(download, { headers })).arrayBuffer());
  const type = { "content-type": "application/octet-stream" };
  const { status, text } = await to!.send("PUT", `/snapshots/${id}`, bytes, type);
  if (status >= 300) throw new Error(`the upload was answered ${status}: ${text}`);
  const { vectors } = await ok(to!.post(`/snapshots/${id}/restore`, ""));
  for (const client of [from!, to!]) client.close();
  const shown = `${(bytes.length / 1e6).toFixed(0)} MB, ${vectors} rows`;
  judge(
    vectors === dataset.base.count,
    `the second server restored a snapshot of the first: ${shown}`,
  );
}

async function recall(client: Connection): Promise<number> {
  let found = 0;
  for (let query = 0; query < QUERIES; query++) {
    const vector = [...rowAt(dataset.queries, query)];
    const { body } = await client.post("/search", { vector, k: 10 });
    const ids = body.results.map(({ id }: { id: string }) => Number(id));
    found += recallOf(dataset, query, ids, 10);
  }
  return found / QUERIES;
}

function checkFiles(): void {
  passes("promtool", ["check", "rules", join(operations, "alerts.yml")]);
  passes("promtool", ["test", "rules", join(operations, "alerts.test.yml")]);
  passes("promtool", ["check", "config", "--syntax-only", join(operations, "prometheus.yml")]);
  if (!hasProgram("systemd-analyze")) console.log("      systemd-analyze is not here: not checked");
  else {
    // Its binary and its folder stand elsewhere on this machine.
    const unit = adapt("omendb.service", [
      ["/usr/bin/node", process.execPath],
      ["/opt/omendb", root],
      ["User=omendb", "User=root"],
      ["Group=omendb", "Group=root"],
    ]);
    passes("systemd-analyze", ["verify", unit]);
  }
  const image = readFileSync(join(operations, "Dockerfile"), "utf8");
  if (spawnSync("docker", ["version"]).status === 0) {
    passes("docker", ["build", "-f", join(operations, "Dockerfile"), "-t", "omendb", root]);
  } else {
    const copied = [...image.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) =>
      names!.split(" "),
    );
    const ignored = readFileSync(join(root, ".dockerignore"), "utf8").split("\n");
    const isSound =
      copied.every((name) => spawnSync("test", ["-e", join(root, name)]).status === 0) &&
      copied.every((name) => ignored.includes(`!${name}`)) &&
      image.match(/^FROM /gm)?.length === 2 &&
      /^USER node$/m.test(image.split(/^FROM /m).at(-1)!) &&
      /^HEALTHCHECK /m.test(image);
    judge(isSound, "Dockerfile: no engine here; two stages, no root, a health check, files there");
  }
}

async function checkNginx(server: Server, direct: number): Promise<void> {
  const port = await freePort();
  const path = adapt("nginx.conf", [
    ["127.0.0.1:8000", `127.0.0.1:${server.port}`],
    ["listen 8443 ssl", `listen 127.0.0.1:${port} ssl`],
    ["/etc/omendb/cert.pem", join(fixtures, "server.pem")],
    ["/etc/omendb/key.pem", join(fixtures, "server.key.pem")],
    ["/run/nginx.pid", join(folder, "nginx.pid")],
    ["/var/log/nginx/", `${folder}/`],
  ]);
  passes("nginx", ["-t", "-c", path]);
  run("nginx", ["-c", path, "-g", "daemon off;"]);
  await checkThrough("nginx", [server], port, direct);
  const log = readFileSync(join(folder, "omendb.log"), "utf8");
  const lines = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  judge(
    lines.some(({ request_id }) => request_id === "through-nginx") && !log.includes("secret"),
    `nginx: ${lines.length} lines of its log, with request ids and without queries`,
  );
}

/** The same recall as without the proxy; ids and addresses arrive; metrics do not get out. */
async function checkThrough(name: string, behind: Server[], port: number, direct: number) {
  const logged = () => behind.map((server) => server.output()).join("\n");
  const client = connect(port, readerHeaders, trust);
  await until(async () => (await client.get("/readyz")).status === 200);
  const through = await recall(client);
  judge(
    through === direct,
    `${name}: recall@10 ${through.toFixed(4)}, ${direct.toFixed(4)} without`,
  );
  const id = `through-${name}`;
  const from = { "x-request-id": id, "x-forwarded-for": "203.0.113.9" };
  const answer = await client.send("GET", "/stats?secret=1", undefined, from);
  judge(answer.headers["x-request-id"] === id, `${name}: the request's id comes back`);
  await until(async () => logged().includes(id));
  const line =
    logged()
      .split("\n")
      .find((each) => each.includes(id)) ?? "{}";
  const { ip } = JSON.parse(line).req;
  judge(/127\.0\.0\.1$/.test(ip), `${name}: the client's address is its own, not what it claims`);
  const { status } = await client.get("/metrics");
  judge(status === 403, `${name}: /metrics is not for clients`);
  client.close();
}

async function checkHaproxy(one: Server, two: Server, direct: number): Promise<void> {
  const port = await freePort();
  const pem = join(folder, "haproxy.pem");
  const parts = ["server.pem", "server.key.pem"].map((name) => readFileSync(join(fixtures, name)));
  writeFileSync(pem, Buffer.concat(parts));
  const path = adapt("haproxy.cfg", [
    ["127.0.0.1:8001", `127.0.0.1:${one.port}`],
    ["127.0.0.1:8002", `127.0.0.1:${two.port}`],
    ["127.0.0.1:8443", `127.0.0.1:${port}`],
    ["/etc/omendb/haproxy.pem", pem],
  ]);
  passes("haproxy", ["-c", "-f", path]);
  run("haproxy", ["-db", "-f", path]);
  await checkThrough("haproxy", [one, two], port, direct);
  await checkKill(port, two);
  const writer = connect(port, { "x-api-key": ring.keys.loader! }, trust);
  const vector = [...rowAt(dataset.base, 0)];
  const { status } = await writer.post("/vectors/add", { id: "one more", vector });
  judge(status === 200, "haproxy: writes go on");
  writer.close();
}

async function checkKill(port: number, victim: Server): Promise<void> {
  const sent = { before: 0, noticing: 0, after: 0 };
  const failed = { before: 0, noticing: 0, after: 0 };
  let phase: keyof typeof sent | "over" = "before";
  const readers = Array.from({ length: READERS }, async (_, index) => {
    const client = connect(port, readerHeaders, trust);
    for (let turn = index; phase !== "over"; turn++) {
      const now = phase;
      const vector = [...rowAt(dataset.queries, turn % QUERIES)];
      const status = await client.post("/search", { vector }).then(
        (answer) => answer.status,
        () => 0,
      );
      sent[now]++;
      if (status !== 200) failed[now]++;
    }
    client.close();
  });
  await pause(2000);
  phase = "noticing";
  await victim.stop("SIGKILL");
  await pause(NOTICED_MS);
  phase = "after";
  await pause(3000);
  phase = "over";
  await Promise.all(readers);
  const shown = `${failed.noticing} of ${sent.noticing} reads failed in the ${NOTICED_MS} ms after`;
  judge(failed.before === 0 && sent.before > 0, `haproxy: ${sent.before} reads over two servers`);
  judge(
    failed.after === 0 && sent.after > 0,
    `haproxy: one of two killed; ${shown}, ${failed.after} of ${sent.after} later`,
  );
}

async function checkPrometheus(server: Server): Promise<void> {
  const [port, keyFile] = [await freePort(), join(folder, "prometheus.key")];
  writeFileSync(keyFile, ring.keys.shop!);
  const direct = server.connect(readerHeaders);
  const { text } = await direct.get("/metrics");
  direct.close();
  passes("promtool", ["check", "metrics"], text);
  const shown = ["alerts.yml", "dashboard.json"].map((name) =>
    readFileSync(join(operations, name), "utf8"),
  );
  const named = new Set(shown.join("\n").match(/\b(omendb|process|nodejs)_[a-z_]+/g));
  const unknown = [...named].filter((name) => !text.includes(name) && name !== "omendb_down");
  const optional = ["omendb_wal_bytes", "omendb_wal_records", "omendb_snapshot_age_seconds"];
  const strange = unknown.filter((name) => !optional.includes(name));
  judge(
    strange.length === 0,
    `alerts and dashboard name ${named.size} metrics; unknown: ${strange}`,
  );
  adapt("alerts.yml", [[/for: \d+m/g, "for: 1s"]]);
  const path = adapt("prometheus.yml", [
    ["127.0.0.1:8000", `127.0.0.1:${server.port}`],
    ["/etc/omendb/prometheus.key", keyFile],
    [/_interval: 15s/g, "_interval: 1s"],
  ]);
  passes("promtool", ["check", "config", path]);
  const storage = `--storage.tsdb.path=${join(folder, "tsdb")}`;
  const address = `127.0.0.1:${port}`;
  run("prometheus", [`--config.file=${path}`, storage, `--web.listen-address=${address}`]);
  const ask = async (query: string) => {
    const url = `http://${address}/api/v1/query?query=${encodeURIComponent(query)}`;
    const { data } = (await (await fetch(url)).json()) as {
      data: { result: { value: [number, string] }[] };
    };
    return data.result.map(({ value }) => Number(value[1]));
  };
  const isScraped = await until(async () => (await ask('up{job="omendb"}'))[0] === 1);
  const rows = await ask('sum(omendb_rows{state="indexed"})');
  judge(isScraped && rows[0]! >= dataset.base.count, `prometheus: a scrape saw ${rows[0]} rows`);
  await server.stop("SIGKILL");
  const firing = 'ALERTS{alertname="OmenDBDown",alertstate="firing"}';
  const isFiring = await until(async () => (await ask(firing)).length === 1);
  judge(isFiring, "prometheus: the server killed, OmenDBDown fires");
}

async function main(): Promise<void> {
  install();
  checkFiles();
  const [one, two] = [
    await serve({ PATH: join(folder, "one") }),
    await serve({ PATH: join(folder, "two") }),
  ];
  await load(one, dataset);
  await restoreOn(two, one);
  const client = one.connect(readerHeaders);
  const direct = await recall(client);
  client.close();
  await checkNginx(one, direct);
  await checkHaproxy(one, two, direct);
  await checkPrometheus(one);
}

try {
  await main();
} finally {
  for (const child of children) child.kill("SIGTERM");
  for (const server of servers) await server.stop("SIGKILL");
  await pause(300);
  rmSync(folder, { recursive: true, force: true });
}
console.log(failures.length === 0 ? "all checks passed" : `${failures.length} checks failed`);
process.exit(failures.length === 0 ? 0 : 1);
