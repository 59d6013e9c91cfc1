import { headline, type Story } from "../../../rehearsal/drills/story";
import { Transcript } from "../../../rehearsal/drills/transcript";

const story = (name: string, title: string): Story => ({ name, title, stage: "shared", play: () => Promise.resolve() });

test("a transcript holds every line that a story printed, under its name, without colours", () => {
  const [first, second] = [story("lose-a", "node a is lost"), story("pool", "a pool grows")];
  const transcript = new Transcript([first, second]);
  for (const line of ["", headline(second), "given   two agents", "", "pool went well", "", headline(first)])
    transcript.add(line);
  transcript.add("\u001b[32mthen    ok    it is back\u001b[39m\n  after 25 s");
  const page = transcript.markdown({ when: "2026-11-21", place: "2 cores, 24 GiB" });
  expect(page.slice(page.indexOf("## "))).toBe(
    [
      "## lose-a",
      "",
      "Node a is lost. (2026-11-21, 2 cores, 24 GiB)",
      "",
      "<details><summary>the story</summary>",
      "",
      "```",
      "then    ok    it is back",
      "  after 25 s",
      "```",
      "",
      "</details>",
      "",
      "## pool",
      "",
      "A pool grows. (2026-11-21, 2 cores, 24 GiB)",
      "",
      "<details><summary>the story</summary>",
      "",
      "```",
      "given   two agents",
      "",
      "pool went well",
      "```",
      "",
      "</details>",
      "",
    ].join("\n"),
  );
});

test("what a story printed cannot end its block", () => {
  const one = story("x", "y");
  const transcript = new Transcript([one]);
  for (const line of [headline(one), "```", "inside"]) transcript.add(line);
  expect(transcript.markdown({ when: "", place: "" })).toContain("~~~~\n```\ninside\n~~~~");
});

test("drills that were not played this time keep their sections", () => {
  const page = (name: string, line: string, before?: string): string => {
    const one = story(name, "a story");
    const transcript = new Transcript([one]);
    for (const text of [headline(one), line]) transcript.add(text);
    return transcript.markdown({ when: "today", place: "here", ...(before === undefined ? {} : { before }) });
  };
  const both = page("pool", "first", page("lose-a", "first"));
  const again = page("lose-a", "second", both);
  expect(again.match(/^## .*$|^first$|^second$/gm)).toEqual(["## lose-a", "second", "## pool", "first"]);
  expect(page("pool", "first", again)).toBe(again);
});
