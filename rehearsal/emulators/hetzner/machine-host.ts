/** A server as what boots it sees it: everything it can know about itself, its metadata and user-data included. */
export interface Machine {
  /** The API's id; stays over power cycles and rebuilds. */
  id: number;
  name: string;
  serverType: string;
  architecture: "x86" | "arm";
  location: string;
  image: string;
  /** Empty where the server was made without any. Holds secrets: never log it. */
  userData: string;
  labels: Record<string, string>;
  publicIpv4?: string;
  /** The first address of the server's /64. */
  publicIpv6?: string;
  privateNetworks: { networkId: number; ip: string; macAddress: string }[];
}

/**
 * What makes emulated servers real. Without one, the emulator only changes a server's status.
 * A call returns as soon as the machine has begun; a boot that fails is visible on the machine's console, not in the API.
 */
export interface MachineHost {
  powerOn(machine: Machine): Promise<void>;
  /** Cuts the power. */
  powerOff(machine: { id: number }): Promise<void>;
  /** Presses the power button (ACPI): the machine ends what runs on it in good order. Settles when it is off. */
  shutdown(machine: { id: number }): Promise<void>;
  /** Power is cut and the disk wiped; `powerOn` follows, with the same machine. */
  rebuild(machine: Machine): Promise<void>;
  remove(machine: { id: number }): Promise<void>;
  /** A running machine's network interfaces changed: a private network was attached or detached (hot-plug). */
  interfacesChanged?(machine: Machine): Promise<void>;
}
