import { parseFlags } from "../../../rehearsal/k3s/command-line";

test("flags are read as K3s reads them: with = or a blank, one dash or two, lists by comma, several times", () => {
  expect(
    parseFlags("server", [
      "--cluster-init",
      "-t",
      "secret",
      "--tls-san=a,b",
      "--tls-san",
      "c",
      "--kube-apiserver-arg=a=1,2",
      "--etcd-s3=false",
      "--node-name=x",
      "--node-name=y",
    ]),
  ).toEqual({
    "cluster-init": ["true"],
    token: ["secret"],
    "tls-san": ["a", "b", "c"],
    "kube-apiserver-arg": ["a=1,2"],
    "etcd-s3": ["false"],
    "node-name": ["y"],
  });
});

test.each([
  [["--clster-init"], 'flag provided but not defined: -clster-init. Did you mean "cluster-init"?'],
  [["--node-name"], "flag needs an argument: -node-name"],
  [["--cluster-init=yes"], "invalid value for flag -cluster-init: must be true or false"],
  [["now"], 'unexpected argument "now"'],
])("%j is refused", (args, message) => {
  expect(() => parseFlags("server", args)).toThrow(message);
});

test("an agent has no servers' flags", () => {
  expect(() => parseFlags("agent", ["--cluster-init"])).toThrow("flag provided but not defined: -cluster-init");
});
