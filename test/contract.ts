/**
 * The OpenAPI document as a contract: answers are held to what it says of their operation, status
 * and media type. Nothing else of the code is used for that.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { default as addFormats } from "ajv-formats";
import { expect } from "chai";
import type { Answer } from "./server.ts";

/** Parts of the document, of every shape. */
// biome-ignore lint/suspicious/noExplicitAny: a document of every shape
export type Json = any;

export interface Call {
  readonly operationId: string;
  readonly method: string;
  /** As OpenAPI writes it. */
  readonly path: string;
  readonly operation: Json;
}

export class Contract {
  readonly document: Json;
  readonly calls: readonly Call[];
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json) {
    this.document = document;
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, "document");
    this.calls = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
      Object.entries<Json>(methods).map(([method, operation]) => ({
        ...{ operationId: operation.operationId, method: method.toUpperCase(), path, operation },
      })),
    );
  }

  call(operationId: string): Call {
    return this.calls.find((call) => call.operationId === operationId)!;
  }

  /** Throws with what is wrong unless the document allows this answer to this operation. */
  hold({ operationId, method, path, operation }: Call, answer: Answer): void {
    const what = `${method} ${path} -> ${answer.status} ${answer.text.slice(0, 500)}`;
    const documented = operation.responses[answer.status];
    expect(documented, `${what}: not among ${Object.keys(operation.responses)}`).to.be.an("object");
    expect(answer.headers, what).to.have.property("x-request-id");
    const type = answer.headers["content-type"]?.split(";")[0];
    if (documented.content === undefined) {
      expect(answer.text, what).to.equal("");
      return;
    }
    const media = Object.keys(documented.content);
    const isNamed = media.some((each) => each === type || matches(each, type ?? ""));
    expect(isNamed, `${what}: ${type} is not among ${media}`).to.equal(true);
    if (documented.content[type!]?.schema === undefined) return;
    const pointer = ["paths", path, method.toLowerCase(), "responses", answer.status, "content"];
    const check = this.compile([...pointer, type!, "schema"]);
    const isValid = check(answer.body);
    expect(isValid, `${operationId}: ${what}: ${JSON.stringify(check.errors)}`).to.equal(true);
    if (answer.status < 400 || type !== "application/problem+json") return;
    expect(answer.body.status, what).to.equal(answer.status);
    expect(answer.body.type, what).to.equal(`urn:omendb:problem:${answer.body.code}`);
  }

  /** The schema at that place of the document. */
  compile(place: readonly (string | number)[]): ValidateFunction {
    const pointer = place.map((step) => `${step}`.replaceAll("~", "~0").replaceAll("/", "~1"));
    const reference = `document#/${pointer.map(encodeURIComponent).join("/")}`;
    let compiled = this.#compiled.get(reference);
    compiled ??= this.#ajv.compile({ $ref: reference });
    this.#compiled.set(reference, compiled);
    return compiled;
  }
}

const matches = (range: string, type: string) =>
  range.endsWith("/*") && type.startsWith(range.slice(0, -1));
