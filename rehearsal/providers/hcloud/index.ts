export { createHcloudProvider, type HcloudProviderOptions } from "./provider";
