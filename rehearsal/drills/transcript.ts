import { stripVTControlCharacters } from "node:util";
import { STORIES } from "./catalogue";
import { headline, type Story } from "./story";

const HEAD = `# The drills, as they went

\`npm run rehearse -- --drill all --transcript docs/drills.md\` writes this page; with some drills' names in place of \`all\` it writes their sections anew. Nothing is left
out. Real are the engine, the program, etcd, the API servers and every request of the watch; the clouds, K3s around them, kubelets and pods are played.
[rehearsal/drills](../rehearsal/drills/README.md) says how, and which of them \`npm test\` plays.

`;

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

  /**
   * The page, with what is in `before` (such a page) of drills that were not played this time. `when` is a date; `place` is the
   * machine, in a few words.
   */
  markdown({ when, place, before = "" }: { when: string; place: string; before?: string }): string {
    const sections = new Map(
      before
        .split(/^(?=## )/m)
        .slice(1)
        .map((text) => [/^## (.*)$/m.exec(text)![1]!, text]),
    );
    for (const { story, lines } of this.#told) {
      const { name, title } = story;
      const fence = lines.some((line) => line.includes("```")) ? "~~~~" : "```";
      const text = lines.join("\n").trim().split("\n");
      const section = [`## ${name}`, "", `${title[0]!.toUpperCase()}${title.slice(1)}. (${when}, ${place})`, ""];
      section.push("<details><summary>the story</summary>", "", fence, ...text, fence, "", "</details>", "");
      sections.set(name, `${section.join("\n")}\n`);
    }
    const order = STORIES.map(({ name }) => name);
    const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length);
    const sorted = [...sections].sort(([one], [other]) => rank(one) - rank(other));
    return `${HEAD}${sorted.map(([, text]) => text).join("")}`.replace(/\n+$/, "\n");
  }
}
