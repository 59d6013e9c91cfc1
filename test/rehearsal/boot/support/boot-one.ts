import { createBootedMachines } from "../../../../rehearsal/boot";

/** A rehearsal of one server, to be killed: `boot-one.ts <folder> <loopback address>`. Says when the server is up. */
void (async () => {
  const [directory = "", publicIpv4 = ""] = process.argv.slice(2);
  const machines = await createBootedMachines({ tools: {}, directory });
  await machines.powerOn({
    id: 1,
    name: "one",
    serverType: "cx33",
    architecture: "x86",
    location: "fsn1",
    image: "debian-12",
    userData: "#cloud-config\n{}\n",
    labels: {},
    publicIpv4,
    privateNetworks: [],
  });
  await machines.run(1, "cloud-init", "status", "--wait");
  console.log("up");
})();
