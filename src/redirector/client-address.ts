/**
 * Whose address a hit came from, and how much of it is kept. Behind proxies it is what the outermost trusted one has seen: X-Forwarded-For is read from the
 * right, past those that are trusted, because everything further left may have been written by the visitor. Of somebody who is no trusted
 * proxy the header is not looked at.
 */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP, type Socket } from "node:net";
import { Fault } from "../base/faults.ts";
import { type Log, silentLog } from "../base/log.ts";
import type { RedirectorSettings } from "../config/tracking-settings.ts";
import { isPrivate } from "../model/network.ts";

export interface ClientAddresses {
  /** As much as the settings let through; '' for nothing. */
  of(request: IncomingMessage): string;
}

/** Of the header: the right end of it, with more proxies in a row than anybody has. */
const MOST_FORWARDED = 1000;

/** Faults: SETTINGS_INVALID when a trusted proxy is no address and no network. */
export function openClientAddresses(
  proxies: readonly string[],
  keep: RedirectorSettings["clientAddress"],
  log: Log = silentLog,
): ClientAddresses {
  const trusted = blockList(proxies);
  const isTrusted = (address: string): boolean => trusted.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
  const told = (address: string): string => (keep === "short" ? shortened(address) : address);
  let wondered = false;
  /** Asked once a connection. */
  const known = new WeakMap<Socket, { readonly told: string; readonly trusted: boolean }>();

  function peer(request: IncomingMessage): { readonly told: string; readonly trusted: boolean } {
    const { socket } = request;
    let entry = known.get(socket);
    if (entry === undefined) {
      const address = plain(socket.remoteAddress ?? "");
      entry = { told: told(address), trusted: proxies.length > 0 && address !== "" && isTrusted(address) };
      known.set(socket, entry);
      if (!entry.trusted && isPrivate(address) && request.headers["x-forwarded-for"] !== undefined) wonder(address);
    }
    return entry;
  }

  /** Said once: by whoever comes from the Internet it cannot be brought about. */
  function wonder(proxy: string): void {
    if (!wondered)
      log.warn(
        { proxy },
        "a proxy passes on readers' addresses and is none of redirector.trustedProxies: all hits seem to be its own",
      );
    wondered = true;
  }

  return {
    of(request) {
      if (keep === "none") return "";
      const entry = peer(request);
      if (!entry.trusted) return entry.told;
      const header = request.headers["x-forwarded-for"];
      const text = Array.isArray(header) ? header.join(",") : (header ?? "");
      let client = "";
      for (const item of text.slice(-MOST_FORWARDED).split(",").reverse()) {
        const address = plain(item.trim());
        // Nobody knows who wrote what stands further left.
        if (address === "") break;
        client = address;
        if (!isTrusted(address)) break;
      }
      return client === "" ? entry.told : told(client);
    },
  };
}

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.trim().split("/");
    const version = isIP(address);
    const most = version === 6 ? 128 : 32;
    const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
    if (version === 0 || prefix < 0 || prefix > most)
      throw new Fault(
        "SETTINGS_INVALID",
        `redirector.trustedProxies: ${entry} is no address and no network (10.0.0.0/8)`,
      );
    list.addSubnet(address, prefix, version === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

/** Without brackets, port and zone; of an IPv4 address in IPv6 clothes the IPv4 address; '' for what is no address. */
function plain(text: string): string {
  let address = text;
  if (address.startsWith("[")) address = address.slice(1, address.indexOf("]"));
  else if (/^[\d.]+:\d{1,5}$/.test(address)) address = address.slice(0, address.indexOf(":"));
  const zone = address.indexOf("%");
  if (zone >= 0) address = address.slice(0, zone);
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) address = mapped[1] as string;
  return isIP(address) === 0 ? "" : address.toLowerCase();
}

/** The network: /24 of IPv4, /48 of IPv6, which is what a provider gives to one household or more. */
export function shortened(address: string): string {
  const version = isIP(address);
  if (version === 4) return `${address.slice(0, address.lastIndexOf("."))}.0`;
  if (version !== 6) return "";
  const [left = "", right] = address.split("::");
  const head = left === "" ? [] : left.split(":");
  // Groups left of `::`, then zeros; when there are fewer than three of both, the third is one of the right.
  const tail = right === undefined || right === "" ? [] : right.split(":");
  // Dotted quads count for two groups.
  const length = tail.length + (tail.at(-1)?.includes(".") === true ? 1 : 0);
  const zeros = right === undefined ? 0 : 8 - head.length - length;
  const groups = [...head, ...new Array<string>(Math.max(0, zeros)).fill("0"), ...tail].slice(0, 3);
  return new URL(`http://[${groups.join(":")}::]`).hostname.slice(1, -1);
}
