export type { CloudflareProviderOptions } from "./provider";
export { createCloudflareProvider } from "./provider";
