import { REPLACE_VARIABLE } from "../../../../components/cluster/roll/rolling";
import { ofType, type Registered, registered, secretValue } from "../../../support/mocks";
import { honeyduePlatform, singleNodePlatform } from "../../../support/platform";
import { buildCluster } from "../cluster.fixture";

const SERVER = "hcloud:index/server:Server";

/** By name: the one that is replaced is known a moment later. */
const serversOf = (all: readonly Registered[]): Registered[] =>
  ofType(all, SERVER).sort((one, other) => one.name.localeCompare(other.name));

describe(`a run with ${REPLACE_VARIABLE}`, () => {
  afterEach(() => delete process.env[REPLACE_VARIABLE]);

  test("lets the provider see the new user-data of that one server, and makes it another text, so that it is replaced", async () => {
    process.env[REPLACE_VARIABLE] = "b";
    const servers = serversOf(await registered(() => buildCluster(honeyduePlatform())));
    const all = ["userData", "image", "location"];
    expect(servers.map(({ name, options }) => [name, options.ignoreChanges])).toEqual([
      ["honeydue-a", all],
      ["honeydue-b", ["location"]],
      ["honeydue-c", all],
    ]);
    const marked = servers.map(({ inputs }) => /\n# replaced .*Z\n$/.test(String(secretValue(inputs["userData"]))));
    expect(marked).toEqual([false, true, false]);
  });

  test.each([
    ["d", honeyduePlatform(), 'no node is named "d"; there are a, b, c'],
    ["a", singleNodePlatform(), "a is the only server"],
  ])("is refused for %s, before anything is registered", (name, platform, reason) => {
    process.env[REPLACE_VARIABLE] = name;
    expect(() => buildCluster(platform)).toThrow(reason);
  });
});

test("servers are not protected, whatever the setting: the engine could not make a lost one again", async () => {
  const servers = serversOf(await registered(() => buildCluster(honeyduePlatform({ protect: true }))));
  expect(servers.map(({ options }) => options.protect)).toEqual([false, false, false]);
});
