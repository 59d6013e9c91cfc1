import { testDrills } from "../support/drills";

/** First boots, and what a platform may and may not become. */
describe("a shape", () => {
  testDrills(
    "127.44.3",
    ["out-of-stock", "boot-never", "single-node"],
    ["boot-order", "pool", "destroy-protected", "certificate"],
  );
});
