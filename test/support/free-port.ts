/**
 * A port nobody listens on at the moment, for a program that cannot be told "0"; our own servers get 0 and say what they got. It is
 * below those the system gives by itself (from 32768), or a connection of another test could have it before the program does.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const [LOWEST, BEHIND] = [20_000, 32_000];
const TRIES = 50;

export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(LOWEST, BEHIND);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port in ${TRIES} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
