export type { FrontDoor, FrontDoorOptions } from "./door";
export { openFrontDoor } from "./door";
export type { Lookup } from "./resolve";
