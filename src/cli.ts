#!/usr/bin/env node
/**
 * `omendb`: the command line. An old Node is told so before anything is loaded that it could not
 * read.
 */
import { refuseOldNode } from "./cli/platform.ts";

refuseOldNode();
const { runProgram } = await import("./cli/program.ts");
process.exit(await runProgram(process.argv.slice(2)));
