/** Addresses of statistics servers, as they stand in the settings: `host:port`, `[::1]:7777`, or a host alone. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

const PORT = 7777;

/** null when it is none. */
export function addressOf(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? PORT : Number(match[3]);
  return host === undefined || port < 1 || port > 65535 ? null : { host, port };
}
