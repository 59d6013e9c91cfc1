/** Started by edge.ts in a process of its own: asks one address as quickly as it answers, and sends back what each request took. */
import autocannon from "autocannon";

export interface LoadRequest {
  url: string;
  headers: Readonly<Record<string, string>>;
  connections: number;
  warmSeconds: number;
  seconds: number;
  /** Only first requests of a connection, with what it takes to make it. */
  fresh: boolean;
  /** For https: whose address it comes from, and which certificate it shows. */
  tls?: { servername: string; localAddress: string; cert?: string; key?: string };
}

export interface LoadResult {
  p50Milliseconds: number;
  p95Milliseconds: number;
  p99Milliseconds: number;
  requests: number;
  perSecond: number;
}

/** What is measured: after the warm-up, until the end. */
export interface LoadMessage {
  at: "begin" | "end";
  result?: LoadResult;
}

/**
 * autocannon's own histogram counts whole milliseconds, too coarse for one hop: its requests are what is wanted, and each says exactly
 * what it took, from the first byte sent (or, on a fresh connection, from the call to connect) to the last byte of the answer.
 */
async function load({ url, headers, connections, warmSeconds, seconds, fresh, tls }: LoadRequest): Promise<LoadResult> {
  const took: number[] = [];
  const problems = new Map<string, number>();
  const count = (problem: string): void => void problems.set(problem, (problems.get(problem) ?? 0) + 1);
  let begin = Infinity;
  await new Promise<void>((resolve, reject) => {
    const run = autocannon(
      {
        url,
        headers: { ...headers },
        connections,
        duration: warmSeconds + seconds,
        // autocannon says nothing of the request after which it closes a connection: of two it tells the first.
        ...(fresh ? { reconnectRate: 2 } : {}),
        ...(tls && { servername: tls.servername, tlsOptions: tls }),
      },
      (error: Error | null) => (error ? reject(error) : resolve()),
    );
    run.on("response", (_, status, __, milliseconds) => {
      if (status !== 200) count(`status ${status}`);
      if (performance.now() >= begin) took.push(milliseconds);
    });
    run.on("reqError", (error: Error) => count(error.message));
    setTimeout(() => {
      begin = performance.now();
      tell({ at: "begin" });
    }, warmSeconds * 1000);
  });
  if (took.length === 0) count("no answer in the time that is measured");
  if (problems.size > 0) throw new Error([...problems].map(([problem, times]) => `${times} x ${problem}`).join(", "));
  const end = performance.now();
  const sorted = Float64Array.from(took).sort();
  const quantile = (part: number): number => sorted[Math.ceil(part * sorted.length) - 1] ?? NaN;
  return {
    p50Milliseconds: quantile(0.5),
    p95Milliseconds: quantile(0.95),
    p99Milliseconds: quantile(0.99),
    requests: took.length,
    perSecond: (1000 * took.length) / (end - begin),
  };
}

const tell = (message: LoadMessage): void => void process.send?.(message);

process.once("message", (request: LoadRequest) => {
  void load(request).then((result) => {
    tell({ at: "end", result });
    process.disconnect();
  });
});
