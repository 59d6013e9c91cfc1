import { type ClientHttp2Stream, constants } from "node:http2";
import type { Readable } from "node:stream";
import { EdgeError } from "./edge-error";
import type { Answer } from "./visit";

/** The other side ended a stream before it answered. */
export class BrokenStream extends Error {
  /** It says of itself that it has not looked at the request. */
  readonly isRefused: boolean;

  constructor(reason: string, isRefused: boolean) {
    super(reason);
    this.isRefused = isRefused;
  }
}

/** Sends the body of a request on its stream and waits for the answer; the time for that begins with the end of the request. */
export function exchangeHttp2(
  stream: ClientHttp2Stream,
  { body, hasBody }: { readonly body: Readable; readonly hasBody: boolean },
  answerMilliseconds: number,
): Promise<Answer & { readonly stream: ClientHttp2Stream }> {
  return new Promise((resolve, reject) => {
    let late: NodeJS.Timeout | undefined;
    let isSettled = false;
    const settle = () => {
      isSettled = true;
      clearTimeout(late);
      stream
        .off("error", fail)
        .off("close", fail)
        .on("error", () => undefined);
    };
    const fail = (error?: Error) => {
      settle();
      body.unpipe(stream);
      const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      reject(new BrokenStream(error?.message ?? "the connection was closed", isRefused));
    };
    const wait = () => {
      if (isSettled) return; // before the request was over, as it may be
      late = setTimeout(() => {
        settle();
        stream.close(constants.NGHTTP2_CANCEL);
        reject(new EdgeError("answerTimeout", `nothing began to answer within ${answerMilliseconds / 1000} s`));
      }, answerMilliseconds);
    };
    stream.once("error", fail).once("close", fail);
    if (hasBody) body.pipe(stream).once("finish", wait);
    else wait();
    let trailers: NodeJS.Dict<string> = {};
    stream.once("trailers", (given) => (trailers = given as NodeJS.Dict<string>));
    stream.once("response", (given, flags) => {
      settle();
      const { ":status": status = 502, ...headers } = given;
      const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      resolve({ status, headers, body: isWhole ? "" : stream, stream, trailers: () => trailers });
    });
  });
}
