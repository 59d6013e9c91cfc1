export type { AccessTcp, AccessTcpOptions } from "./access-tcp";
export { startAccessTcp } from "./access-tcp";
export { keysAt } from "./access-check";
export type { Connector, ConnectorOptions } from "./connector";
export { startConnector } from "./connector";
export { servicesFromFile } from "./services";
