import { serveProvider } from "../protocol/server";
import { createTlsProvider } from "./index";

void serveProvider(createTlsProvider());
