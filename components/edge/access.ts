import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { Operators } from "../../model/platform";
import type { CloudOptions } from "../cloud-options";

/** A working day: whoever leaves the operators is out by tomorrow, even if nobody ends the session. */
const SESSION_DURATION = "12h";

/** As long as the cluster's authorities: when it ends, nothing can be changed any more, and it protects what a client certificate protects again. */
const PROGRAM_TOKEN_DURATION = "87600h";

export interface AccessArgs {
  accountId: string;
  operators: Operators;
  /** Guarded ones, each once. */
  hostnames: readonly string[];
  /** Stands in every name: nothing else tells whose a policy or a token is. */
  mark: pulumi.Input<string>;
  cloudOptions: CloudOptions;
  /** Removes what a create with a lost answer left: names of policies and service tokens are not unique. */
  removeTwins: pulumi.ResourceHook;
}

/** What a machine shows to Access: the headers `CF-Access-Client-Id` and `CF-Access-Client-Secret`. */
export interface ServiceToken {
  readonly clientId: string;
  readonly clientSecret: string;
}

/**
 * Who may pass to what is guarded: people by their address, machines by a service token. Cloudflare asks before a request enters the tunnel,
 * and the connector checks Cloudflare's signed answer once more (tunnel.ts).
 */
export class Access extends pulumi.ComponentResource {
  /** Tag of each hostname's application, which stands in the tokens for it. */
  readonly audiences: Readonly<Record<string, pulumi.Output<string>>>;
  /** Secret. By the machine's name. */
  readonly serviceTokens: pulumi.Output<Readonly<Record<string, ServiceToken>>>;
  /** Secret. The program's own, for the Kubernetes API and nothing else; undefined where that is reached another way. */
  readonly programToken: pulumi.Output<ServiceToken> | undefined;

  constructor(name: string, args: AccessArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivet:edge:Access", name, {}, opts);
    const { accountId, operators, hostnames, mark, cloudOptions, removeTwins } = args;
    const parent = { parent: this };
    const named = { parent: this, hooks: { afterCreate: [removeTwins] } };
    const called = (what: string): pulumi.Output<string> => pulumi.output(mark).apply((text) => `${what} (${text})`);

    const token = (role: string, what: string, duration?: string): cloudflare.ZeroTrustAccessServiceToken =>
      new cloudflare.ZeroTrustAccessServiceToken(
        `${name}-${role}`,
        { accountId, name: called(what), ...(duration === undefined ? {} : { duration }) },
        { ...named, additionalSecretOutputs: ["clientSecret"] },
      );
    /** None where nobody is included: Cloudflare takes no empty one. */
    const policies = (
      role: string,
      what: string,
      decision: "allow" | "non_identity",
      includes: cloudflare.types.input.ZeroTrustAccessPolicyInclude[],
    ): cloudflare.ZeroTrustAccessPolicy[] =>
      includes.length === 0
        ? []
        : [
            new cloudflare.ZeroTrustAccessPolicy(
              `${name}-${role}`,
              { accountId, name: called(what), decision, includes },
              named,
            ),
          ];

    const machines = operators.machines.map(
      (machine) => [machine, token(`machine-${machine}`, `${name} ${machine}`)] as const,
    );
    const ownHostnames = new Set(operators.apiDoors.map(({ hostname }) => hostname));
    const program =
      ownHostnames.size === 0 ? undefined : token("program", `program of ${name}`, PROGRAM_TOKEN_DURATION);
    const peoplePolicies = policies("people", `${name} people`, "allow", [
      ...operators.emails.map((email) => ({ email: { email } })),
      ...operators.emailDomains.map((domain) => ({ emailDomain: { domain } })),
    ]);
    // No login page for these: a token or nothing.
    const machinePolicies = policies(
      "machines",
      `${name} machines`,
      "non_identity",
      machines.map(([, { id }]) => ({ serviceToken: { tokenId: id } })),
    );
    const programPolicies = policies(
      "program",
      `program of ${name}`,
      "non_identity",
      program === undefined ? [] : [{ serviceToken: { tokenId: program.id } }],
    );
    const applications = hostnames.map((hostname) => {
      // A machine's token is for what is guarded: its holder has no business at the Kubernetes API.
      const who = [...peoplePolicies, ...(ownHostnames.has(hostname) ? programPolicies : machinePolicies)];
      const application = new cloudflare.ZeroTrustAccessApplication(
        `${name}-${hostname}`,
        {
          accountId,
          name: called(hostname),
          type: "self_hosted",
          domain: hostname,
          sessionDuration: SESSION_DURATION,
          policies: who.map(({ id }, index) => ({ id, precedence: index + 1 })),
        },
        cloudOptions(parent),
      );
      return [hostname, application.aud] as const;
    });
    this.audiences = Object.fromEntries(applications);
    this.serviceTokens = pulumi.secret(
      pulumi.output(
        Object.fromEntries(
          machines.map(([machine, { clientId, clientSecret }]) => [machine, { clientId, clientSecret }]),
        ),
      ),
    );
    this.programToken =
      program && pulumi.secret(pulumi.output({ clientId: program.clientId, clientSecret: program.clientSecret }));
    this.registerOutputs({ audiences: this.audiences });
  }
}
