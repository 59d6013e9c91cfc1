export { engineEnvironment, type EngineSettings } from "./engine-environment";
export { PLUGIN_NAMES, type PluginName, writePluginFolder } from "./plugin-folder";
