/**
 * `npm start`: what `omendb serve` does. Settings come from the environment, and from flags after
 * `npm start --`.
 */
import { refuseOldNode } from "./cli/platform.ts";

refuseOldNode();
const { runProgram } = await import("./cli/program.ts");
process.exit(await runProgram(["serve", ...process.argv.slice(2)]));
