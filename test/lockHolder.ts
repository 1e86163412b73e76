/** Started by lock.test.ts: takes the lock of the folder it is given, says so, and holds it until it is ended. */
import { NodeFiles } from "../src/storage/files.ts";

const [, , folder = ""] = process.argv;
try {
  await new NodeFiles().lock(folder);
  console.log(`held by ${process.pid}`);
  setInterval(() => undefined, 1000);
} catch (error) {
  console.log(`refused: ${(error as Error).message}`);
}
