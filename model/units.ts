/** An amount of memory in mebibytes, as Kubernetes writes it. A bare number does not compile: 256 of what? */
export type MiB = `${number}Mi`;

/** An amount of processor time in thousandths of a core, as Kubernetes writes it. */
export type Millicores = `${number}m`;

/** @example mebibytes(256) // "256Mi" */
export const mebibytes = (amount: number): MiB => `${amount}Mi`;

/** @example gibibytes(2) // "2048Mi" */
export const gibibytes = (amount: number): MiB => `${amount * 1024}Mi`;

/** @example millicores(250) // "250m", a quarter of a core */
export const millicores = (amount: number): Millicores => `${amount}m`;

/** The number in front of the unit; NaN for text that never was an amount (a definition written in JavaScript). */
export const amountOf = (quantity: MiB | Millicores): number =>
  typeof quantity === "string" && /^\d+(\.\d+)?(Mi|m)$/.test(quantity) ? Number.parseFloat(quantity) : Number.NaN;
