export { engineEnvironment, type EngineSettings } from "./engine-environment";
export { installPlugins, PLUGIN_NAMES, type PluginName, writePluginFolder } from "./plugin-folder";
