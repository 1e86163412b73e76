/**
 * What a setting may be: each kind says in words what it expects, and reads a text into a value.
 */

import { isIP } from "node:net";

/** `read` gives undefined for a text that is not of this kind. */
export interface Kind {
  readonly expected: string;
  read(text: string): unknown;
}

export function text(min: number, max: number, what = "characters", pattern = /^[^\0]*$/): Kind {
  const fits = ({ length }: string) => length >= min && length <= max;
  const read = (given: string) => (fits(given) && pattern.test(given) ? given : undefined);
  return { expected: `${min} to ${max} ${what}`, read };
}

export function wholeNumber(min: number, max: number, unit = 1): Kind {
  const read = (given: string) => {
    const value = /^\d{1,15}$/.test(given.trim()) ? Number(given) : Number.NaN;
    return value >= min && value <= max ? value * unit : undefined;
  };
  return { expected: `a whole number from ${min} to ${max}`, read };
}

export function oneOf(values: readonly string[]): Kind {
  const read = (given: string) => (values.includes(given) ? given : undefined);
  return { expected: `one of ${values.join(", ")}`, read };
}

export function truth(): Kind {
  const read = (given: string) => ({ true: true, false: false })[given];
  return { expected: "true or false", read };
}

const listed = (given: string) => given.split(",").flatMap((part) => part.trim() || []);

export function listOf(kind: Kind): Kind {
  const read = (given: string) => {
    const values = listed(given).map((part) => kind.read(part));
    return values.length > 0 && !values.includes(undefined) ? values : undefined;
  };
  return { expected: `${kind.expected}, with commas between`, read };
}

export function originList(): Kind {
  const isOrigin = (part: string) => part === "*" || URL.parse(part)?.origin === part;
  const read = (given: string) => (listed(given).every(isOrigin) ? listed(given) : undefined);
  return { expected: "origins such as https://example.org with commas between, or *", read };
}

export function proxies(): Kind {
  const named = /^(loopback|linklocal|uniquelocal)$/;
  const isNetwork = (part: string) => {
    const [address, bits, ...more] = part.split("/");
    const bitsMax = { 4: 32, 6: 128 }[isIP(address!)];
    if (bitsMax === undefined || more.length > 0) return false;
    return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax);
  };
  const read = (given: string) => {
    if (/^\d{1,2}$/.test(given)) return Number(given);
    const networks = listed(given);
    return networks.length > 0 && networks.every((part) => named.test(part) || isNetwork(part))
      ? networks
      : undefined;
  };
  return { expected: "how many, or networks such as 10.0.0.0/8 with commas between", read };
}
