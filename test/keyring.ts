/** A key file for tests, made as the command line makes it. */
import { createKey, type KeyWish } from "../src/access/keyFile.ts";

export interface Keyring {
  /** The file's text. */
  readonly text: string;
  /** The keys by name. */
  readonly keys: Readonly<Record<string, string>>;
}

export function makeKeyring(wishes: readonly KeyWish[]): Keyring {
  let text: string | undefined;
  const keys: Record<string, string> = {};
  for (const wish of wishes) {
    const made = createKey(text, wish);
    text = made.text;
    keys[wish.name] = made.key;
  }
  return { text: text!, keys };
}
