// Makes a checkout runnable: installs the locked packages when they are missing or stale, and builds the
// engine's wasm variants when assembly/ changed. Plain JavaScript, so that any Node from 20 on can run it
// before the pinned one is there. Up to date, it costs a few hash computations and says nothing.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 24;
/** The engine as a whole, and what only searches. */
const SEARCH_CONFIG = "assembly/asconfig.search.json";
const CONFIGS = ["asconfig.json", SEARCH_CONFIG];
/** What the compiler enables by itself, and the configurations for all targets. */
const ASC_FEATURES = [
  ...["sign-ext", "mutable-globals", "nontrapping-float-to-int"],
  ...["bulk-memory", "simd", "threads"],
];
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const installStamp = join(root, "node_modules", ".install-stamp");
const buildStamp = join(root, "build", "stamp");
const say = (text) => process.stderr.write(`${text}\n`);

function fingerprint(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(`${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

const isCurrent = (stamp, print) => existsSync(stamp) && readFileSync(stamp, "utf8") === print;

function install() {
  const print = fingerprint(["package-lock.json"]);
  if (isCurrent(installStamp, print)) return;
  say("installing packages (npm ci) ...");
  const npm = process.env.npm_execpath;
  const [command, args] = npm ? [process.execPath, [npm]] : ["npm", []];
  const { status } = spawnSync(
    command,
    [...args, "ci", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd: root,
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32",
    },
  );
  if (status !== 0) {
    say(
      "npm ci failed; its message is above. Check the network and the free disk space, then try again.",
    );
    process.exit(1);
  }
  writeFileSync(installStamp, print);
}

function checkNode() {
  const node = join(root, "node_modules", ".bin", "node");
  const { stdout } = spawnSync(existsSync(node) ? node : "node", ["-p", "process.versions.node"], {
    encoding: "utf8",
  });
  if (Number.parseInt(stdout, 10) >= NODE_MAJOR_MIN) return;
  say(
    `Node ${NODE_MAJOR_MIN} or newer is needed, found ${String(stdout).trim() || "none"}. It comes as a package for ` +
      `Linux x64 and arm64; on ${process.platform} ${process.arch} install it yourself and put it on the PATH.`,
  );
  process.exit(1);
}

function sources(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith(".ts"))
    .sort();
}

function run(...args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", 2, 2] });
    child.on("exit", resolve);
  });
}

async function compile({ config, target }) {
  const asc = join("node_modules", "assemblyscript", "bin", "asc.js");
  const status = await run(asc, "--config", config, "--target", target);
  if (status !== 0 || config !== SEARCH_CONFIG) return { target, status };
  // What comes off the network counts here: the optimizer alone, by size, makes less than the compiler
  // and then the optimizer.
  const file = join("build", `${target}.wasm`);
  const optimizer = join("node_modules", "binaryen", "bin", "wasm-opt");
  const features = [...ASC_FEATURES, ...(target.startsWith("relaxed") ? ["relaxed-simd"] : [])];
  const flags = features.map((feature) => `--enable-${feature}`);
  flags.push("-Os", "--converge", "--strip-target-features");
  return { target, status: await run(optimizer, file, ...flags, "-o", file) };
}

async function build(force) {
  const inputs = [...CONFIGS, ".ci/prepare.mjs", "package-lock.json", ...sources("assembly")];
  const print = fingerprint(inputs);
  if (!force && isCurrent(buildStamp, print)) return;
  const targets = CONFIGS.flatMap((config) =>
    Object.keys(JSON.parse(readFileSync(join(root, config), "utf8")).targets).map((target) => ({
      config,
      target,
    })),
  );
  say(`building the engine: ${targets.map(({ target }) => target).join(", ")} ...`);
  mkdirSync(join(root, "build"), { recursive: true });
  const failed = (await Promise.all(targets.map(compile))).filter(({ status }) => status !== 0);
  if (failed.length > 0) {
    say(`the engine did not compile: ${failed.map(({ target }) => target).join(", ")}`);
    process.exit(1);
  }
  writeFileSync(buildStamp, print);
}

install();
checkNode();
await build(process.argv.includes("--build"));
