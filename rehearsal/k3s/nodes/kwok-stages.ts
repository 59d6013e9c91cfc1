import { stringify } from "yaml";

/**
 * What kwok does to Nodes and Pods, as its Stage objects. Pods with one of the `played` values of the label app.kubernetes.io/component are
 * somebody else's. Differences to the stages that come with kwok: a node becomes Ready only when the
 * controller manager has given it a pod range (as with a real network plug-in), its addresses and sizes are never touched, and
 * containers carry what clients wait for (`started`, image ids).
 */
export function kwokStages(played: readonly string[] = []): string {
  return stages
    .map(({ metadata, spec }) => {
      const matchExpressions =
        spec.resourceRef === POD && played.length > 0
          ? [...spec.selector.matchExpressions, isNot(COMPONENT, ...played)]
          : spec.selector.matchExpressions;
      const stage = { metadata, spec: { ...spec, selector: { matchExpressions } } };
      return stringify({ apiVersion: "kwok.x-k8s.io/v1alpha1", kind: "Stage", ...stage }, { lineWidth: 0 });
    })
    .join("---\n");
}

const NODE = { apiGroup: "v1", kind: "Node" };
const POD = { apiGroup: "v1", kind: "Pod" };
const READY = '.status.conditions.[] | select( .type == "Ready" ) | .status';

const COMPONENT = '.metadata.labels["app.kubernetes.io/component"]';

const has = (key: string) => ({ key, operator: "Exists" });
const lacks = (key: string) => ({ key, operator: "DoesNotExist" });
const isIn = (key: string, ...values: string[]) => ({ key, operator: "In", values });
const isNot = (key: string, ...values: string[]) => ({ key, operator: "NotIn", values });

const nodeConditions = `
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
phase: Running
`;

const podReady = `
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
conditions:
- { type: PodReadyToStartContainers, status: "True", lastTransitionTime: {{ $now | Quote }} }
- { type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }} }
- { type: ContainersReady, status: "True", lastTransitionTime: {{ $now | Quote }} }
- { type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }} }
{{ range .spec.readinessGates }}
- { type: {{ .conditionType | Quote }}, status: "True", lastTransitionTime: {{ $now | Quote }} }
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  containerID: {{ printf "simulated://%s" .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
{{ with .spec.initContainers }}
initContainerStatuses:
{{ range . }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  restartCount: 0
  {{ if eq .restartPolicy "Always" }}
  started: true
  state:
    running:
      startedAt: {{ $now | Quote }}
  {{ else }}
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
  {{ end }}
{{ end }}
{{ end }}
{{ with NodeIPsWith .spec.nodeName }}
hostIP: {{ index . 0 | Quote }}
hostIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ with PodIPsWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
`;

const podComplete = `
{{ $now := Now }}
phase: Succeeded
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
conditions:
- { type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }} }
- { type: ContainersReady, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }} }
`;

const stages = [
  {
    metadata: { name: "node-ready" },
    spec: {
      resourceRef: NODE,
      selector: { matchExpressions: [has(".spec.podCIDR"), isNot(READY, "True")] },
      next: { statusTemplate: nodeConditions },
    },
  },
  {
    // The Lease is the heartbeat; the conditions are renewed every five minutes, as a kubelet does.
    metadata: { name: "node-conditions" },
    spec: {
      resourceRef: NODE,
      selector: { matchExpressions: [isIn(READY, "True")] },
      delay: { durationMilliseconds: 300_000, jitterDurationMilliseconds: 310_000 },
      next: { statusTemplate: nodeConditions },
    },
  },
  {
    // Also what ran before: the controller manager marks the pods of a silent node, and its kubelet, back again, starts them anew.
    metadata: { name: "pod-ready" },
    spec: {
      resourceRef: POD,
      selector: {
        matchExpressions: [
          lacks(".metadata.deletionTimestamp"),
          isIn(".status.phase", "Pending", "Running"),
          isNot(READY, "True"),
        ],
      },
      next: { statusTemplate: podReady },
    },
  },
  {
    metadata: { name: "pod-complete" },
    spec: {
      resourceRef: POD,
      selector: {
        matchExpressions: [
          lacks(".metadata.deletionTimestamp"),
          isIn(".status.phase", "Running"),
          isIn(".metadata.ownerReferences.[].kind", "Job"),
        ],
      },
      next: { statusTemplate: podComplete },
    },
  },
  {
    metadata: { name: "pod-delete" },
    spec: {
      resourceRef: POD,
      selector: { matchExpressions: [has(".metadata.deletionTimestamp")] },
      next: { finalizers: { empty: true }, delete: true },
    },
  },
];
