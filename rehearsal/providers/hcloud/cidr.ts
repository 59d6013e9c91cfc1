import ipaddr from "ipaddr.js";

type Parsed = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

function parse(text: string): Parsed | undefined {
  // Go wants four decimal parts; ipaddr.js would take shorter forms.
  if (!text.includes(":") && !/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(text)) return undefined;
  try {
    return ipaddr.parseCIDR(text);
  } catch {
    return undefined;
  }
}

export const isCidr = (text: string): boolean => parse(text) !== undefined;

const networkOf = ([address, length]: Parsed): string => {
  const cidr = `${address.toString()}/${length}`;
  const network =
    address.kind() === "ipv4" ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr);
  return `${shortest(network)}/${length}`;
};

const shortest = (address: ipaddr.IPv4 | ipaddr.IPv6): string =>
  address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();

/** A firewall address as the state has it: a network in its shortest form; a bare address is a network of one. */
export function normalisedAddress(text: string): string {
  const parsed = parse(text.includes("/") ? text : text.includes(":") ? `${text}/128` : `${text}/32`);
  return parsed === undefined ? text : networkOf(parsed);
}

/** What the provider finds wrong with a firewall address. */
export function addressProblem(text: string): string | undefined {
  const whole = text.includes("/") ? text : normalisedAddress(text);
  const parsed = parse(whole);
  if (parsed === undefined) return `invalid CIDR address: ${text}`;
  const network = networkOf(parsed);
  if (normalisedText(parsed) !== network) return `${text} is not the start of the cidr block ${network}`;
  return undefined;
}

const normalisedText = ([address, length]: Parsed): string => `${shortest(address)}/${length}`;
