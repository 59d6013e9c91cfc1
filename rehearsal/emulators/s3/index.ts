export type { S3Emulator, S3EmulatorOptions, S3Object } from "./emulator";
export { startS3Emulator } from "./emulator";
export type { AccessKey } from "./signature";
