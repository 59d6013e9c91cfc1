import type { ImageReference } from "./platform";

/**
 * `[registry[:port]/]path[:tag][@sha256:digest]`, or undefined for what is none. The grammar is that of the OCI distribution
 * specification: a path is in lower case; only a first part with a dot, a port or "localhost" is a registry.
 */
export const parseImage = (
  text: string,
): (Omit<ImageReference, "digest"> & { digest: string | undefined }) | undefined => {
  const match = /^(?<repository>[^@\s]+?)(:(?<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(@(?<digest>\S+))?$/.exec(text);
  const { repository = "", tag, digest } = match?.groups ?? {};
  const parts = repository.split("/");
  const registry = parts.length > 1 && /[.:]|^localhost$/.test(parts[0]!) ? parts.shift()! : undefined;
  if (registry !== undefined && !/^[a-zA-Z0-9.-]+(:\d{1,5})?$/.test(registry)) return undefined;
  if (parts.length === 0 || !parts.every((part) => /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/.test(part))) return undefined;
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)) return undefined;
  return { repository, tag, digest, reference: text };
};

/** For references that were checked before. */
export const image = (text: string): ImageReference => {
  const parsed = parseImage(text);
  if (parsed?.digest === undefined) throw new Error(`not an image reference with digest: ${text}`);
  return { ...parsed, digest: parsed.digest };
};
