/** The environment in which the engine runs by itself: its own home and state, our plugins, no look at the network. */
import { delimiter, resolve } from "node:path";

export interface EngineSettings {
  /** PULUMI_HOME: the engine's own files. Made by the engine when missing. */
  home: string;
  /** Folder of the state (a `file://` backend). It must exist. */
  backend: string;
  /** The folder that `writePluginFolder` made. Default: none, for a home that `installPlugins` filled. */
  plugins?: string;
  /** Encrypts the secrets of the state; also needed to read it again. */
  passphrase: string;
  /** Folder of Node's compile cache, which makes later starts of plugins and program faster. Default: none. */
  compileCache?: string;
  /** What it starts from. Default: `process.env`. */
  inherited?: NodeJS.ProcessEnv;
}

/**
 * Variables of the caller's environment that would lead the engine elsewhere, or to another account or state. A person
 * who rehearses often has the real ones set.
 */
const LEADING_ASTRAY =
  /^(PULUMI_|HCLOUD_|HETZNER_|CLOUDFLARE_|KUBECONFIG$|KUBE_|AWS_|GOOGLE_|AZURE_|ARM_|NODE_OPTIONS$|TS_NODE_|OTEL_|TRACEPARENT$)/;

/** The complete environment for the engine's process. Nothing of the caller's Pulumi or cloud settings is in it. */
export function engineEnvironment(settings: EngineSettings): NodeJS.ProcessEnv {
  const { home, backend, plugins, passphrase, compileCache, inherited = process.env } = settings;
  const kept = Object.entries(inherited).filter(([name]) => !LEADING_ASTRAY.test(name));
  return {
    ...Object.fromEntries(kept),
    ...(plugins === undefined
      ? // Real plugins that happen to be on PATH would win over those in the home.
        { PULUMI_IGNORE_AMBIENT_PLUGINS: "true" }
      : { PATH: [resolve(plugins), inherited["PATH"] ?? ""].filter((part) => part !== "").join(delimiter) }),
    PULUMI_HOME: resolve(home),
    PULUMI_BACKEND_URL: `file://${resolve(backend)}`,
    PULUMI_CONFIG_PASSPHRASE: passphrase,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    // No second copy of the state a step: this one is thrown away, and every write costs time.
    PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: "true",
    PULUMI_NODEJS_TRANSPILE_ONLY: "true",
    // An Output put into a string by mistake fails here, instead of in the cloud.
    PULUMI_ERROR_OUTPUT_STRING: "1",
    ...(compileCache === undefined ? {} : { NODE_COMPILE_CACHE: resolve(compileCache) }),
  };
}
