/**
 * What a credential allows: a role, perhaps only in some collections, perhaps only until a time. A
 * grant never says how it was proved; keys and tokens both end as one.
 */

/** Each role may do what those before it may. */
export const ROLES = ["reader", "writer", "admin"] as const;
export type Role = (typeof ROLES)[number];

export interface Grant {
  /** Who it is in logs, in the audit log and in budgets; never the credential itself. */
  readonly name: string;
  /** undefined: the credential is genuine, and its holder may do nothing. */
  readonly role: Role | undefined;
  /** Names, or beginnings of names that end in `*`; undefined is every collection. */
  readonly collections?: readonly string[];
  readonly expiresAtMs?: number;
  /** Requests and vectors a second, in place of the server's; 0 is no limit. */
  readonly rateLimit?: number;
  readonly vectorRateLimit?: number;
}

/** A collection's name, or the beginning of names. */
export const COLLECTION_PATTERN = /^(?:[A-Za-z0-9_-]{1,64}|[A-Za-z0-9_-]{0,63}\*)$/;

export function mayAct({ role }: Grant, needed: Role): boolean {
  return role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export function sees({ collections }: Grant, name: string): boolean {
  if (collections === undefined) return true;
  return collections.some((pattern) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
}
