/** Who may import whom. Imports point down: stacks -> components -> charts, local -> model (docs/architecture.md). */
module.exports = {
  forbidden: [
    {
      name: "model-is-pure",
      comment:
        "model/ says what a platform is: no Pulumi, no cdk8s, no input or output, nothing above it. `crypto` reads certificates.",
      severity: "error",
      from: { path: "^model/" },
      to: { pathNot: "^model/|^node_modules/(zod|ipaddr\\.js)/|^crypto$" },
    },
    {
      name: "this-computer-looks-down",
      comment:
        "local/ asks the computer that a run or a command is on. Both need it, and neither imports the other: so it knows the model alone.",
      severity: "error",
      from: { path: "^local/" },
      to: { pathNot: "^local/|^model/", dependencyTypesNot: ["core"] },
    },
    {
      name: "charts-know-no-pulumi",
      comment:
        "cdk8s says what runs; Pulumi owns what is secret, late or ordered. The bridge is components/manifests.ts.",
      severity: "error",
      from: { path: "^components/[^/]+/charts/" },
      to: {
        pathNot:
          "^components/[^/]+/charts/|^components/charts/|^model/|^node_modules/(cdk8s|cdk8s-plus-28|constructs|yaml)/|^crypto$",
      },
    },
    {
      name: "components-look-down",
      comment: "components/ reads the model and nothing beside or above it.",
      severity: "error",
      from: { path: "^components/" },
      to: { path: "^(stacks|operations|rehearsal|test|bench)/" },
    },
    {
      name: "parts-do-not-import-one-another",
      comment:
        "Parts are joined in components/platform.ts alone; pods/ is what the charts of all parts have in common.",
      severity: "error",
      from: { path: "^components/([^/]+)/" },
      to: { path: "^components/[^/]+/", pathNot: "^components/($1|pods)/" },
    },
    {
      name: "stacks-know-no-rehearsal",
      severity: "error",
      comment: "A user may delete rehearsal/ and operations/ and still deploy.",
      from: { path: "^stacks/" },
      to: { path: "^(rehearsal|operations|test|bench)/" },
    },
    {
      name: "operations-read-the-model",
      severity: "error",
      comment: "People's commands start fast: no Pulumi, no components.",
      from: { path: "^operations/" },
      to: { path: "^(stacks|components|rehearsal|test|bench)/|^node_modules/@pulumi/" },
    },
    {
      name: "rehearsal-starts-the-program-as-a-user-does",
      severity: "error",
      comment: "rehearsal/ runs the program through the engine and imports nothing of it.",
      from: { path: "^rehearsal/" },
      to: { path: "^(stacks|components|local|operations|test|bench)/" },
    },
    {
      name: "no-circles",
      severity: "error",
      comment: "Types may refer to one another in circles: they are gone at run time.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-unknown-packages",
      severity: "error",
      comment: "What is imported stands in package.json.",
      from: { pathNot: "^node_modules" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "unknown"] },
    },
    {
      name: "deploying-needs-no-dev-dependency",
      severity: "error",
      from: { path: "^(stacks|components|local|model)/" },
      to: { dependencyTypes: ["npm-dev"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^test/fixtures/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};
