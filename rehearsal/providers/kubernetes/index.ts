import type { Provider } from "../protocol/provider";
import { KubernetesProvider, type KubernetesProviderSettings } from "./provider";

/** The stand-in for Pulumi's kubernetes provider, against any real API server. */
export const createKubernetesProvider = (settings: KubernetesProviderSettings = {}): Provider & { close(): void } =>
  new KubernetesProvider(settings);
