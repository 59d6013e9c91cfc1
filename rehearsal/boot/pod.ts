import type { BootedMachines } from "./index";

/** The address at which Hetzner's metadata service gives a server's user-data to whoever asks. */
export const USER_DATA_URL = "http://169.254.169.254/hetzner/v1/userdata";

/** Prints the first bytes of what an address answers, or why it does not. On a busy machine an answer takes more than a second. */
const ASK = `
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).read(13).decode())
except OSError as error:
    print("refused:", error)
`;

/** What a CNI makes for a pod: a namespace behind the server, which forwards for it and masquerades. */
const MAKE_POD = `
ip netns list | grep -qw pod && exit 0
ip netns add pod
ip link add pod0 type veth peer name eth0 netns pod
ip address add 10.42.255.1/24 dev pod0
ip link set pod0 up
ip -n pod address add 10.42.255.5/24 dev eth0
ip -n pod link set eth0 up
ip -n pod route add default via 10.42.255.1
nft -f - <<'END'
table ip pods {
  chain leaving {
    type nat hook postrouting priority srcnat
    ip saddr 10.42.255.0/24 oifname "eth0" masquerade
  }
}
END
`;

/** What an address answers a process on the server, also one of a pod in the host network: 13 bytes of it, or "refused: …". */
export async function askFromServer(machines: Pick<BootedMachines, "run">, id: number, url: string): Promise<string> {
  return (await machines.run(id, "python3", "-c", ASK, url)).trimEnd();
}

/** The same for a process in a pod's network on that server. */
export async function askFromPod(machines: Pick<BootedMachines, "run">, id: number, url: string): Promise<string> {
  await machines.run(id, "sh", "-euc", MAKE_POD);
  return (await machines.run(id, "ip", "netns", "exec", "pod", "python3", "-c", ASK, url)).trimEnd();
}
