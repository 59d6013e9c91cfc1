export type { Ipv4Pool } from "./addresses";
export type { Stock } from "./stock";
export type { HetznerEmulator, HetznerEmulatorOptions } from "./emulator";
export { startHetznerEmulator } from "./emulator";
export type { Machine, MachineHost } from "./machine-host";
export { createProject, type Project } from "./project";
