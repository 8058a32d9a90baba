/** The order to stop: what is one order, and what is a second one. */
import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { openStopOrder } from "../../src/base/stop.ts";
import { handClock } from "../support/clock.ts";

function scene(child: boolean) {
  const clock = handClock();
  const source = new EventEmitter();
  const second: number[] = [];
  const order = openStopOrder({ child, clock, source, onSecond: (code) => second.push(code) });
  return { clock, source, second, order };
}

test.each(["SIGTERM", "SIGINT"])(
  "%s that comes twice at once, from the group and from npm, is one order",
  async (signal) => {
    const { clock, source, second, order } = scene(false);
    source.emit(signal);
    expect(order.signal.aborted).toBe(true);
    expect(await order.given).toBe(signal);
    await clock.advance(499);
    source.emit(signal);
    expect(second).toEqual([]);
    await clock.advance(1);
    source.emit(signal);
    expect(second).toEqual([signal === "SIGINT" ? 130 : 143]);
    order.close();
    expect(source.eventNames()).toEqual([]);
  },
);

test("a child drains on when the group was signalled and the watchdog's order comes later; a third one ends it", async () => {
  const { clock, source, second, order } = scene(true);
  source.emit("SIGTERM");
  await clock.advance(20_000);
  source.emit("SIGTERM");
  source.emit("SIGINT");
  source.emit("disconnect");
  expect(second).toEqual([]);
  source.emit("SIGTERM");
  expect(second).toEqual([143]);
  order.close();
});

test("a child whose watchdog is gone stops; a signal half a second later is not waited for", async () => {
  const { clock, source, second, order } = scene(true);
  source.emit("disconnect");
  expect(await order.given).toBe("the watchdog is gone");
  await clock.advance(1000);
  source.emit("SIGTERM");
  source.emit("SIGTERM");
  expect(second).toEqual([143]);
  order.close();
});
