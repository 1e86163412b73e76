/**
 * HTTPS as this server speaks it. The certificate and its key come as texts, so that they can be
 * replaced under a running server: new connections get the new ones, those that are open go on.
 */
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { OmenError } from "../errors.ts";

export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
  /** Who must have signed a client's certificate; undefined asks for none. */
  readonly ca?: string;
}

export function contextOf({ cert, key, ca }: TlsTexts): SecureContextOptions {
  return { cert, key, ca, minVersion: "TLSv1.2" };
}

/** Throws INVALID_SETTING when they do not go together. */
export function checkTls(texts: TlsTexts): void {
  try {
    createSecureContext(contextOf(texts));
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    // What OpenSSL says never quotes the key.
    const why =
      code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH" ? "key and certificate differ" : message;
    throw new OmenError("INVALID_SETTING", why);
  }
}
