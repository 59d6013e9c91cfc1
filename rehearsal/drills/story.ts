import type { Scene } from "./scene";

/** A drill: something that happens to a platform, told as given, when, then. */
export interface Story {
  name: string;
  /** One line, for the list. */
  title: string;
  /**
   * Where it plays. "shared": on the one platform that is brought up for all, which it leaves as well as it found it. An object: on a
   * rehearsal of its own, with these values laid over the stack file's; `stack` is another one than the command's. `edge`: visitors'
   * requests go the whole way there, through Cloudflare's emulated edge and the real Traefik; where that cannot run the drill is left
   * out, and says why. `checkout`: it changes the definition, in a copy of the checkout. `kept`: it is up already, and others with the same values may have played there; it is left as well as found.
   */
  stage:
    | "shared"
    | {
        stack?: string;
        config: Readonly<Record<string, unknown>>;
        edge?: boolean;
        checkout?: boolean;
        kept?: boolean;
      };
  /** Says why it cannot play here (a right or a tool is missing); undefined where it can. */
  impossible?: (circumstances: { boot: boolean }) => string | undefined;
  play(scene: Scene): Promise<void>;
}

/** Its first line, when it is told. */
export const headline = ({ name, title }: Story): string => `${name}: ${title}`;

export interface Check {
  text: string;
  ok: boolean;
  /** What was found instead. */
  detail?: string;
}
