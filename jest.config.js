const { availableParallelism } = require("node:os");

/** These bring whole platforms or machines up and watch what happens to them: each has the machine for itself. */
const ALONE = [
  "test/engine/",
  "test/rehearsal/boot/",
  "test/rehearsal/k3s/executable.test.ts",
  "test/rehearsal/language/engine.test.ts",
  "test/rehearsal/machines/(machines|snapshots).test.ts",
  "test/rehearsal/rehearse/command.test.ts",
  "test/rehearsal/traefik/",
  "test/rehearsal/wire/",
];
const alone = ALONE.map((path) => `<rootDir>/${path}`);

/** Node 24 lets Jest `require` the few dependencies that are ES modules only (see the `test` script's flag). */
const project = {
  testEnvironment: "node",
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  transform: {
    "\\.ts$": [
      "@swc/jest",
      { jsc: { target: "es2023", parser: { syntax: "typescript" } }, module: { type: "commonjs" } },
    ],
  },
};

module.exports = {
  // Nothing takes so long but what hangs: no test fails because a machine is slow.
  testTimeout: 300_000,
  // Jest would leave one core to itself, which is half of a machine with two.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  projects: [
    { ...project, displayName: "together", testPathIgnorePatterns: alone },
    {
      ...project,
      displayName: "alone",
      testPathIgnorePatterns: [`^(?!${alone.join("|")})`],
      runner: "<rootDir>/test/support/one-after-another.cjs",
    },
  ],
};
