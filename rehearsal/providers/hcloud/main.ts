import { serveProvider } from "../protocol/server";
import { createHcloudProvider } from "./index";

void serveProvider(createHcloudProvider());
