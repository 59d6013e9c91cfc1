export { serviceTokenOf } from "./access";
export { EDGE_RANGES } from "./edge";
export type { CloudflareEmulator, CloudflareEmulatorOptions } from "./emulator";
export { startCloudflareEmulator } from "./emulator";
export { shownToOrigins } from "./origin-pulls";
export type { CloudflareState, Permission, Plan } from "./state";
export { cloudflareState } from "./state";
export { connectTunnel } from "./tunnels";
