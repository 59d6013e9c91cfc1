import { parseAddress } from "./cidr";

const NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** A DNS name or IPv4 address, perhaps with a port: no scheme, no path. In lower case, as it goes into comparisons. */
export const isHost = (text: string): boolean => {
  const [host = "", port, ...rest] = text.split(":");
  if (rest.length > 0 || (port !== undefined && !(/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65535))) return false;
  return /^[\d.]+$/.test(host) ? parseAddress(host) !== undefined : NAME.test(host);
};
