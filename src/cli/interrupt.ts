/** Ctrl-C and SIGTERM, for commands that put things in order before they end. */

/** Until `end` is called, the first signal aborts `signal`; a second one ends the process. */
export function watchInterrupt(): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const stop = () => {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    controller.abort();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return {
    signal: controller.signal,
    end() {
      process.off("SIGINT", stop).off("SIGTERM", stop);
    },
  };
}
