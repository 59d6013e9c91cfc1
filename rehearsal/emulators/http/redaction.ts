/** Whatever the cloud, a field of such a name holds a secret. */
const SECRET_NAME = /password|secret|private_?key|credential|api_?(token|key)$|^token$|_token$/i;

export const REDACTED = "[redacted]";

/** A copy of a JSON value in which the value of every secret field is replaced; of bytes, how many there are. */
export function redacted(value: unknown, secretFields: readonly string[]): unknown {
  // To walk a snapshot of etcd like an object, byte for byte, kept the whole rehearsal from answering anybody for ten seconds.
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return value.map((item) => redacted(item, secretFields));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secretFields.includes(key) || SECRET_NAME.test(key) ? hidden(item) : redacted(item, secretFields),
    ]),
  );
}

/** Empty values stay: whether a secret was given at all is something one looks for in a journal. */
const hidden = (value: unknown): unknown =>
  value === null || value === "" || typeof value === "boolean" ? value : REDACTED;
