import { ensureBaseTree } from "../../../../rehearsal/boot";

/** Builds the base tree where the cache has none: a process of its own, because Jest decides what to skip before anything may be awaited. */
void ensureBaseTree().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
