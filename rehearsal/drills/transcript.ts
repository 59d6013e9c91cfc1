import { stripVTControlCharacters } from "node:util";
import { headline, type Story } from "./story";

/** Keeps what drills print, story by story, and makes a page of it: docs/drills.md is one. Nothing is left out or changed. */
export class Transcript {
  readonly #stories: ReadonlyMap<string, Story>;
  readonly #told: { story: Story; lines: string[] }[] = [];

  constructor(stories: readonly Story[]) {
    this.#stories = new Map(stories.map((story) => [headline(story), story]));
  }

  add(text: string): void {
    for (const line of stripVTControlCharacters(text).split("\n")) {
      const story = this.#stories.get(line);
      if (story) this.#told.push({ story, lines: [] });
      else this.#told.at(-1)?.lines.push(line.trimEnd());
    }
  }

  /** `when` is a date; `place` is the machine, in a few words. */
  markdown({ when, place }: { when: string; place: string }): string {
    const page = [
      "# The drills, as they went",
      "",
      `\`npm run rehearse -- --drill all --transcript docs/drills.md\` wrote this on ${when} (${place}); nothing is left out. Real are the engine, the program, etcd,`,
      "the API servers and every request of the watch; the clouds, K3s around them, kubelets and pods are played. [rehearsal/drills](../rehearsal/drills/README.md) says how,",
      "and which of them `npm test` plays.",
      "",
    ];
    for (const { story, lines } of this.#told) {
      const { name, title } = story;
      const fence = lines.some((line) => line.includes("```")) ? "~~~~" : "```";
      const text = lines.join("\n").trim().split("\n");
      page.push(`## ${name}`, "", `${title[0]!.toUpperCase()}${title.slice(1)}.`, "");
      page.push("<details><summary>the story</summary>", "", fence, ...text, fence, "", "</details>", "");
    }
    return page.join("\n");
  }
}
