/** The release whose behaviour the stand-in follows; its arguments, paths and metrics were read in that source. */
export const CLOUDFLARED_VERSION = "2026.10.0";
