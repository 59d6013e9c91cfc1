/** The plugin process `pulumi-resource-cloudflare`. */

import { serveProvider } from "../protocol/server";
import { createCloudflareProvider } from "./index";

void serveProvider(createCloudflareProvider());
