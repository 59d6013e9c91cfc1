/** The plugin process `pulumi-resource-cloudflare`. */
import { serveProvider } from "../protocol/server";
import { createCloudflareProvider } from "./index";

/** Tests that lose connections shorten the real client's wait before its first retry, 2000 ms. */
const firstDelayMilliseconds = Number(process.env["TRIVET_RETRY_DELAY_MILLISECONDS"] ?? 2000);

void serveProvider(createCloudflareProvider({ client: { firstDelayMilliseconds } }));
