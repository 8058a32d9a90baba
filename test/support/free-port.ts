/** A port nobody listens on at the moment, for a program that cannot be told "0"; our own servers get 0 and say what they got. */
import { createServer } from "node:net";

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address !== "object" || address === null) return reject(new Error("no address"));
      server.close(() => resolve(address.port));
    });
  });
}
