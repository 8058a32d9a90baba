/** What the system says of a connection, as a sentence with its code. */

const SOCKET_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "the server closed the connection",
  ETIMEDOUT: "connection timed out",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "network unreachable",
  EADDRNOTAVAIL: "the local address is not on this machine",
};

export function socketError(error: NodeJS.ErrnoException): string {
  const code = error.code ?? "";
  const known = SOCKET_ERRORS[code];
  return known === undefined ? error.message.slice(0, 300) : `${known} (${code})`;
}
