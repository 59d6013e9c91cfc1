import * as random from "@pulumi/random";
import { cloudOptions } from "../../../components/cloud-options";
import { Edge } from "../../../components/edge/edge";
import { removeAccessTwins } from "../../../components/lost-answers/access";
import { revokeTwins } from "../../../components/lost-answers/certificates";
import { lostAnswerOptions } from "../../../components/lost-answers/lost-answers";
import hangangjari from "../../../stacks/hangangjari";
import { readSettings } from "../../../stacks/settings";

/** What Cloudflare is told of Hangangjari, as components/platform.ts has it told. Behind a tunnel nothing of it needs a server. */
const { platform, hetzner, cloudflare } = readSettings({ hangangjari });
const installation = new random.RandomId(`${platform.name}-installation`, { byteLength: 8 }).hex;
const edge = new Edge(platform.name, {
  platform,
  addresses: {},
  installation,
  cloudOptions: cloudOptions(lostAnswerOptions({ hetzner, cloudflare, installation })),
  revokeTwins: revokeTwins(cloudflare, platform.edge.zone.id),
  removeAccessTwins: removeAccessTwins(cloudflare),
  cloudflare,
  handedBack: false,
});
edge.leadNames([]);

/** Secret. What connectors run with. */
export const token = edge.tunnelTokens.users;
