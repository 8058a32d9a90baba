/**
 * The quota of an mta process. Until the link to the statistics server is there: everything is granted, 20 connections a lane.
 * The one place to change is `openTraffic`: openQuotaClient (quota/client.ts) over the TCP link.
 */
import type { Limits, Traffic } from "../model/traffic.ts";

const LIMITS: Limits = {
  rule: "*",
  scope: "path",
  connections: 20,
  messagesPerConnection: 1000,
  messagesPerMinute: 0,
  messagesPerHour: 0,
  messagesPerDay: 0,
  bytesPerSecond: 0,
  pacing: "periods",
  tls: "opportunistic",
  connectMs: 0,
  dataMs: 0,
  replyMs: 0,
};

export function openTraffic(): Traffic {
  return {
    connection(_lane, [exchanger], _urgent, signal) {
      if (signal.aborted || exchanger === undefined) return Promise.resolve(null);
      // A lane asks for no more than its limits.
      return Promise.resolve({
        exchanger,
        limits: LIMITS,
        revoked: false,
        messages: (wanted) => wanted,
        unused() {},
        close() {},
      });
    },
    hold: () => null,
    observe() {},
    onChange() {},
    tellLanes() {},
    close() {},
  };
}
