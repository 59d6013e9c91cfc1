export { keepInTailnet } from "./device";
export { type Login, Tailnet, type TailnetOptions } from "./tailnet";
