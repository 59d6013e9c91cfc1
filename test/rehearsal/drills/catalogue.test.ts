import { findStories, listStories, STORIES } from "../../../rehearsal/drills/catalogue";

describe("the catalogue of drills", () => {
  test("names every drill once, each with one line about it", () => {
    const names = STORIES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(listStories().trimEnd().split("\n")).toHaveLength(STORIES.length);
  });

  test("finds several, each once, in the order in which they were asked for", () => {
    expect(findStories(["roll-type", "lose-a", "roll-type"]).map(({ name }) => name)).toEqual(["roll-type", "lose-a"]);
  });

  test("all stands for all of them", () => {
    expect(findStories(["all"])).toEqual(STORIES);
  });

  test("guesses what an unknown name was meant to be", () => {
    expect(() => findStories(["rol-k3s"])).toThrow('There is no drill "rol-k3s". Did you mean "roll-k3s"?');
  });
});
