import { expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { openReread } from "../../src/base/reread.ts";
import { handClock } from "../support/clock.ts";

test("what cannot be read again stays as it was; what changed is told once", async () => {
  const clock = handClock();
  const said: string[] = [];
  const log = {
    ...silentLog,
    info: (_: object, text: string) => void said.push(text),
    error: (_: object, text: string) => void said.push(text),
  };
  const changes: string[] = [];
  let file: string | null = "a";
  const read = (): string => {
    if (file === null) throw new Error("gone");
    return file;
  };
  const options = { what: "keys", everyMs: 1000, clock, log, read, mark: (text: string) => text };
  const files = openReread({ ...options, changed: (text) => void changes.push(text) });
  await clock.advance(1000);
  expect([files.current, files.version, said]).toEqual(["a", 1, []]);
  file = null;
  await clock.advance(1000);
  expect([files.current, files.version]).toEqual(["a", 1]);
  expect(said).toEqual(["keys cannot be read again; the last ones stay in use"]);
  file = "b";
  await clock.advance(2000);
  expect([files.current, files.version, changes]).toEqual(["b", 2, ["b"]]);
  files.close();
  expect(clock.pending).toBe(0);
  file = null;
  expect(() => openReread(options)).toThrow("gone");
});
