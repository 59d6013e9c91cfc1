import { testDrills } from "../support/drills";

/** First boots, and what a platform may and may not become. */
describe("a shape", () => {
  testDrills("127.44.3", ["out-of-stock", "destroy-protected", "pool", "boot-order", "boot-never", "single-node"]);
});
