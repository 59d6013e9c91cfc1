export type { FrontDoor, FrontDoorOptions, Left } from "./door";
export { openFrontDoor } from "./door";
export type { Lookup } from "./resolve";
