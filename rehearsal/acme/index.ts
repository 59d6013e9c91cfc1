export { type NameServer, type NameServerOptions, startNameServer } from "./name-server";
export { type AcmeOptions, type AcmeServer, startAcmeServer } from "./server";
