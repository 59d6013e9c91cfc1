/** The plugin process `pulumi-resource-kubernetes`. */

import { serveProvider } from "../protocol/server";
import { createKubernetesProvider } from "./index";

void serveProvider(createKubernetesProvider());
