import {
  type CloudflareEmulator,
  type CloudflareEmulatorOptions,
  startCloudflareEmulator,
} from "../../../../rehearsal/emulators/cloudflare";

export const TOKEN = "trivet-test-token-0123456789-0123456789x";

export interface Answer {
  status: number;
  headers: Headers;
  success: boolean;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the form of its own answer
  result: any;
  errors: { code: number; message: string }[];
  messages: { code: number; message: string }[];
  result_info?: Record<string, number>;
}

export interface Api {
  emulator: CloudflareEmulator;
  zoneId: string;
  accountId: string;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** The refusal's codes; fails where the call is no refusal. */
  refusal(method: string, path: string, body?: unknown): Promise<{ status: number; codes: number[]; message: string }>;
  close(): Promise<void>;
}

export async function startApi(options: CloudflareEmulatorOptions = {}): Promise<Api> {
  const emulator = await startCloudflareEmulator({
    zones: [{ name: "honeydue.example" }],
    tokens: [{ value: TOKEN }],
    publicRanges: ["127.20.0.0/16"],
    ...options,
  });
  const call: Api["call"] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${emulator.baseUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      ...(text === "" ? {} : (JSON.parse(text) as object)),
    } as Answer;
  };
  return {
    emulator,
    zoneId: emulator.state.zones[0]?.id ?? "",
    accountId: emulator.state.accounts[0]?.id ?? "",
    call,
    async refusal(method, path, body) {
      const { status, success, errors, result } = await call(method, path, body);
      expect({ success, result }).toEqual({ success: false, result: null });
      return {
        status,
        codes: errors.map(({ code }) => code),
        message: errors.map(({ message }) => message).join("; "),
      };
    },
    close: () => emulator.close(),
  };
}
