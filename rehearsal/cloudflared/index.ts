export type { Connector, ConnectorOptions } from "./connector";
export { startConnector } from "./connector";
export { servicesFromFile } from "./services";
