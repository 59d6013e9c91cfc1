export type { CloudflareEmulator, CloudflareEmulatorOptions } from "./emulator";
export { startCloudflareEmulator } from "./emulator";
export { shownToOrigins } from "./origin-pulls";
export type { Permission, PermissionArea, PermissionGroup } from "./permissions";
export { PERMISSION_GROUPS } from "./permissions";
export type { CloudflareState, Plan } from "./state";
export { cloudflareState } from "./state";
export { serviceTokenOf } from "./service-tokens";
export { connectTunnel } from "./tunnels";
