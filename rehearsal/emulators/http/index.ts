export type { Fault, PlacedFault } from "./faults";
export { Faults } from "./faults";
export type { JournalEntry } from "./journal";
export { Journal } from "./journal";
export type { EmulatorOptions, EmulatorServer, ErrorAnswer } from "./server";
export { startEmulatorServer } from "./server";
