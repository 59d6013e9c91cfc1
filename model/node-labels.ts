/** On every agent's Node object: the pool it belongs to. Workloads with `pool` are sent there by it. */
export const POOL_LABEL = "trivet/pool";
