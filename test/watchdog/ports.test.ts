import { expect, test } from "vitest";
import { parseSettings } from "../../src/config/settings.ts";
import { choosePorts } from "../../src/watchdog/ports.ts";

test("what the settings leave open is chosen, differently for each, and nothing else", async () => {
  const tracking = { url: "http://t.example.com" };
  const all = await choosePorts(
    parseSettings({ stat: { port: 0 }, web: { port: 0 }, redirector: { port: 0 }, tracking }),
  );
  expect(Object.keys(all)).toEqual(["POSTILION_STAT__PORT", "POSTILION_WEB__PORT", "POSTILION_REDIRECTOR__PORT"]);
  expect(new Set(Object.values(all)).size).toBe(3);
  for (const port of Object.values(all)) expect(Number(port)).toBeGreaterThan(0);
  // No redirection server runs, no statistics server does, and web's port is said.
  expect(await choosePorts(parseSettings({ stat: { port: 0, run: false }, redirector: { port: 0 } }))).toEqual({});
});
