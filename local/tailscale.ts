import { execFile } from "node:child_process";
import type { Tailnet } from "../model/platform";
import { tailnetView, type TailnetView } from "../model/tailnet";

/** An answer is a round trip to this computer's own Tailscale. */
const TIMEOUT_MILLISECONDS = 10_000;
/** A tailnet may have thousands of devices. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;

/** Asks the Tailscale of this computer who is in the tailnet. Never throws: what is the matter is in the answer. */
export const askTailscale = (tailnet: Tailnet): Promise<TailnetView> =>
  new Promise((resolve) => {
    execFile(
      "tailscale",
      ["status", "--json"],
      // The default, but under jest, where it is another process.env.
      { env: process.env, timeout: TIMEOUT_MILLISECONDS, maxBuffer: LARGEST_ANSWER_BYTES, windowsHide: true },
      (error, stdout, stderr) => {
        if (error === null) return resolve(tailnetView(tailnet, stdout));
        const { code } = error as NodeJS.ErrnoException;
        resolve({
          problem:
            code === "ENOENT"
              ? "tailscale is not on PATH. Do: install it (https://tailscale.com/download), then tailscale up"
              : `this computer's Tailscale does not answer: ${stderr.trim().split("\n").at(-1) || error.message}`,
        });
      },
    );
  });
