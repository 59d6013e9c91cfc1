import { monthlyCost } from "../../model/cost";
import { resolve } from "../../model/resolve";
import { priceRegionOf, RETIRED_SERVER_TYPES, SERVER_TYPES } from "../../model/server-types";
import honeydue from "../../stacks/honeydue";
import { honeydueSettings } from "./honeydue.fixture";

const platform = (values = {}) =>
  resolve(honeydue, { ...honeydueSettings, values: { ...honeydueSettings.values, ...values } }).platform!;

test("three cx33 with an address each cost 26.97 EUR a month", () => {
  expect(monthlyCost(platform())).toEqual({
    lines: [
      { what: "server cx33 in nbg1", count: 3, each: 8.49, total: 25.47 },
      { what: "primary IPv4 address", count: 3, each: 0.5, total: 1.5 },
    ],
    total: 26.97,
    currency: "EUR",
  });
});

test("the price follows the location", () => {
  expect(monthlyCost(platform({ location: "ash", serverType: "ccx13" })).total).toBe(131.97);
  expect(priceRegionOf("sin")).toBe("sin");
});

test("a retired type is not for sale, and its successor is", () => {
  for (const [retired, successor] of Object.entries(RETIRED_SERVER_TYPES)) {
    expect(SERVER_TYPES[retired]).toBeUndefined();
    expect(SERVER_TYPES[successor]).toBeDefined();
  }
});
