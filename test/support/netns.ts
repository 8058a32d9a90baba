/**
 * Several hosts on one machine: network namespaces on a bridge, addresses 10.<a>.<b>.n, the test itself at n = 1. A process is run "on" a host
 * through `command`. A host can be cut off from another one: packets to it vanish, as on a broken line. Needs root and iproute2.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";

export interface Host {
  readonly name: string;
  readonly address: string;
  /** The words that run a program on this host. */
  command(program: string, args: readonly string[]): { program: string; args: string[] };
  /** Nothing goes from here to that address any more; open connections fall silent. */
  cutFrom(address: string): void;
  mend(address: string): void;
}

export interface Hosts {
  /** The test's own address on the bridge. */
  readonly address: string;
  readonly hosts: readonly Host[];
  close(): void;
}

/** Why hosts cannot be had here; '' when they can. */
export function whyNoHosts(): string {
  if (process.getuid?.() !== 0) return "not root";
  if (spawnSync("ip", ["-V"]).error !== undefined) return "no iproute2";
  const name = `p${randomBytes(3).toString("hex")}`;
  const made = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  if (made.status !== 0) return `no network namespaces: ${made.stderr.trim()}`;
  spawnSync("ip", ["netns", "del", name]);
  return "";
}

export function openHosts(count: number): Hosts {
  const id = randomBytes(3);
  const tag = id.toString("hex");
  const net = `10.${64 + (id[0]! % 64)}.${id[1]!}`;
  const bridge = `pb${tag}`;
  const names: string[] = [];
  const close = (): void => {
    for (const name of names) spawnSync("ip", ["netns", "del", name]);
    spawnSync("ip", ["link", "del", bridge]);
  };
  try {
    ip("link", "add", bridge, "type", "bridge");
    ip("addr", "add", `${net}.1/24`, "dev", bridge);
    ip("link", "set", bridge, "up");
    const hosts = Array.from({ length: count }, (_, i) => {
      const name = `ph${tag}${i}`;
      names.push(name);
      return makeHost(name, `pv${tag}${i}`, bridge, `${net}.${i + 2}`);
    });
    return { address: `${net}.1`, hosts, close };
  } catch (error) {
    close();
    throw error;
  }
}

function makeHost(name: string, link: string, bridge: string, address: string): Host {
  ip("netns", "add", name);
  ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name);
  ip("link", "set", link, "master", bridge);
  ip("link", "set", link, "up");
  ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
  ip("-n", name, "link", "set", "eth0", "up");
  ip("-n", name, "link", "set", "lo", "up");
  return {
    name,
    address,
    command: (program, args) => ({ program: "ip", args: ["netns", "exec", name, program, ...args] }),
    cutFrom: (other) => ip("-n", name, "route", "add", "blackhole", `${other}/32`),
    mend: (other) => ip("-n", name, "route", "del", "blackhole", `${other}/32`),
  };
}

function ip(...args: string[]): void {
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}
