/** The plugin process `pulumi-resource-hcloud`. */
import { serveProvider } from "../protocol/server";
import { createHcloudProvider } from "./index";

/** Tests that lose connections shorten the real client's wait before its first retry, 1000 ms. */
const firstDelayMilliseconds = Number(process.env["TRIVET_RETRY_DELAY_MILLISECONDS"] ?? 1000);

void serveProvider(createHcloudProvider({ retryBaseMilliseconds: firstDelayMilliseconds }));
