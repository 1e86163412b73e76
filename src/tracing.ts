/**
 * Spans for whoever has set up OpenTelemetry in this process (`node --import ./otel.mjs`): a
 * request, a search, a sync of the log, a checkpoint. Only the API is used, no SDK is brought
 * along. Without one nothing is made, and nothing is paid but the question.
 */
import {
  type Context,
  context,
  ProxyTracerProvider,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";

const NAME = "omendb";

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Asked each time, since an SDK may be set up after this file is loaded. */
function findTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  if (!(provider instanceof ProxyTracerProvider)) return provider.getTracer(NAME);
  return provider.getDelegateTracer(NAME);
}

/** A request's span, and what later spans of the request stand under. */
export interface RequestSpan {
  readonly span: Span;
  readonly context: Context;
}

/** Under the caller's own span, where the headers name one. */
export function beginRequest(headers: object): RequestSpan | undefined {
  const tracer = findTracer();
  if (tracer === undefined) return undefined;
  const parent = propagation.extract(context.active(), headers);
  const span = tracer.startSpan("request", { kind: SpanKind.SERVER }, parent);
  return { span, context: trace.setSpan(parent, span) };
}

export function endRequest({ span }: RequestSpan, name: string, attributes: Attributes): void {
  span.updateName(name).setAttributes({ ...attributes });
  if (Number(attributes["http.response.status_code"]) >= 500) {
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** A part of a request; `attributesOf` tells of the outcome. */
export async function traceWithin<Outcome>(
  parent: RequestSpan | undefined,
  name: string,
  run: () => Promise<Outcome>,
  attributesOf: (outcome: Outcome) => Attributes,
): Promise<Outcome> {
  const tracer = parent && findTracer();
  if (parent === undefined || tracer === undefined) return await run();
  const span = tracer.startSpan(name, {}, parent.context);
  try {
    const outcome = await run();
    span.setAttributes({ ...attributesOf(outcome) });
    return outcome;
  } catch (error) {
    span.recordException(error as Error);
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}

/** Something that has just ended. */
export function traceEnded(name: string, tookMs: number, attributes: Attributes = {}): void {
  const endTime = Date.now();
  findTracer()
    ?.startSpan(name, { startTime: endTime - tookMs, attributes: { ...attributes } })
    .end(endTime);
}
