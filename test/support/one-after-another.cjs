/** Jest's own runner, but one file at a time, with no other beside it. */
const { default: TestRunner } = require("jest-runner");

module.exports = class OneAfterAnother extends TestRunner {
  isSerial = true;
};
