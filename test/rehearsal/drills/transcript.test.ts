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
  expect(page).toContain("on 2026-11-21 (2 cores, 24 GiB)");
  expect(page.slice(page.indexOf("## "))).toBe(
    [
      "## pool",
      "",
      "A pool grows.",
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
      "## lose-a",
      "",
      "Node a is lost.",
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
    ].join("\n"),
  );
});

test("what a story printed cannot end its block", () => {
  const one = story("x", "y");
  const transcript = new Transcript([one]);
  for (const line of [headline(one), "```", "inside"]) transcript.add(line);
  expect(transcript.markdown({ when: "", place: "" })).toContain("~~~~\n```\ninside\n~~~~");
});
