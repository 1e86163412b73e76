/** What a page keeps under a name on its device: whether it is there, and away with it. */
import { openKeeper } from "./keeping.ts";
import { checkName, openStore } from "./store.ts";

export async function isStored(name: string): Promise<boolean> {
  checkName(name);
  return (await (await openStore()).list(name)).length > 0;
}

/** No error when there is nothing under the name. */
export async function forget(name: string): Promise<void> {
  checkName(name);
  await (await openKeeper()).remove(name);
}
