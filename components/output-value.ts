import type * as pulumi from "@pulumi/pulumi";

/** The value of an Output inside a hook, which runs when all values are known. */
export const outputValue = <T>(output: pulumi.Output<T>): Promise<T> =>
  new Promise((resolve) => {
    output.apply((value) => resolve(value));
  });
