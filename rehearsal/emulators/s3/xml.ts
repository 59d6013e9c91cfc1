/** A document as nested lists of elements: enough for the answers of S3. */
export type Element = readonly [name: string, content: string | number | boolean | readonly Element[]];

const escape = (text: string): string =>
  text.replace(/[<>&"\r]/g, (char) => `&${{ "<": "lt", ">": "gt", "&": "amp", '"': "quot" }[char] ?? "#13"};`);

const render = ([name, content]: Element): string =>
  `<${name}>${Array.isArray(content) ? (content as readonly Element[]).map(render).join("") : escape(String(content))}</${name}>`;

export function xml(name: string, content: readonly Element[]): string {
  const namespace = name === "Error" ? "" : ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${namespace}>${content.map(render).join("")}</${name}>`;
}

/** Contents of all elements of this name, in order; for the two documents that clients send. */
export const contents = (document: string, name: string): string[] =>
  [...document.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text = ""]) =>
    text
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&quot;", '"')
      .replaceAll("&apos;", "'")
      .replaceAll("&amp;", "&"),
  );
