/** A real HTTPS server for MTA-STS policies in tests, with a certificate of test/support/tls. Loopback only. */
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { good, type TestCertificate } from "./certificates.ts";

export interface PolicyServer {
  readonly port: number;
  /** Every request: `mta-sts.good.test /.well-known/mta-sts.txt`. */
  readonly requests: string[];
  /** May be replaced at any time: the text of a policy, or what answers. */
  answer: string | ((request: IncomingMessage, response: ServerResponse) => void);
  close(): Promise<void>;
}

export async function openPolicyServer(
  answer: PolicyServer["answer"],
  certificate: TestCertificate = good,
): Promise<PolicyServer> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const { key, cert } = certificate;
  const listener: Server = createServer({ key, cert }, (request, response) => {
    requests.push(`${request.headers.host} ${request.url}`);
    response.on("error", () => {}); // a client that has had enough is what tests are about
    if (typeof server.answer === "function") server.answer(request, response);
    else response.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end(server.answer);
  });
  listener.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  });
  listener.on("tlsClientError", () => {}); // one that does not trust us
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const server: PolicyServer = {
    port: (listener.address() as AddressInfo).port,
    requests,
    answer,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
  return server;
}
