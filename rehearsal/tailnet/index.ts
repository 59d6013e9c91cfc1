export { keepInTailnet } from "./device";
export { Tailnet } from "./tailnet";
