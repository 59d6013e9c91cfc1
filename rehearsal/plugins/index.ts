export { engineEnvironment, type EngineSettings } from "./engine-environment";
export { realPlugins } from "./real-plugins";
export { installPlugins, PLUGIN_NAMES, type PluginName, writePluginFolder } from "./plugin-folder";
