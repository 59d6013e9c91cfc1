import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { LOCAL_ADDRESS } from "../model/access-tcp";
import type { AccessDoor } from "../model/platform";

/** cloudflared listens within a moment; on a busy machine it takes longer. */
export const OPEN_SECONDS = 20;
const LOOK_MILLISECONDS = 50;

/** Those at which nobody listens. */
export const closedAmong = async (doors: readonly AccessDoor[]): Promise<readonly AccessDoor[]> => {
  const open = await Promise.all(doors.map(({ port }) => listens(port)));
  return doors.filter((_, index) => !open[index]);
};

/** Waits until somebody listens at each, and answers with those at which nobody does in time, or did when it was called off. */
export async function stillClosed(
  doors: readonly AccessDoor[],
  { calledOff, seconds = OPEN_SECONDS }: { calledOff?: AbortSignal; seconds?: number } = {},
): Promise<readonly AccessDoor[]> {
  const deadline = Date.now() + seconds * 1000;
  let closed = doors;
  while (closed.length > 0 && Date.now() <= deadline && calledOff?.aborted !== true) {
    await delay(LOOK_MILLISECONDS);
    closed = await closedAmong(closed);
  }
  return closed;
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: LOCAL_ADDRESS, port });
    const answer = (found: boolean) => (): void => {
      socket.destroy();
      resolve(found);
    };
    socket.once("connect", answer(true)).once("error", answer(false));
  });
