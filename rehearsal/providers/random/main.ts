import { serveProvider } from "../protocol/server";
import { createRandomProvider } from "./index";

void serveProvider(createRandomProvider());
