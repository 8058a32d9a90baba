/** Measures over a whole site and over a public id at every site; and that one hostile site cannot bring the latter about, nor keep it. */
import { describe, expect, test } from "vitest";
import { HOUR, SITE, T0, type Told, path, report, sample, told } from "./governor-parts.ts";

describe("wider scopes", () => {
  test("a rule for the site stops all public ids and counts them together", () => {
    const t = told();
    t.governor.observe([], [sample("whole site", { count: 2 }), sample("whole site", { count: 2, publicId: 7 })], T0);
    expect(t.govern(T0, SITE, 1).hold).toMatchObject({ by: "site" });
    expect(t.govern(T0, SITE, 99).hold).toMatchObject({ by: "site" });
    expect(t.govern(T0, "other", 1).hold).toBeNull();
    expect(t.changes).toEqual([{ site: SITE }]);
  });

  const listed = (t: Told, site: string, now: number): void =>
    t.governor.observe([], [sample("on a list", { site, count: 2 })], now);

  test("a public id is stopped everywhere when enough different sites said so; before, each site for itself", () => {
    const t = told();
    for (let i = 0; i < 20; i++) listed(t, "a", T0 + i);
    listed(t, "b", T0 + 100);
    expect(t.govern(T0 + 100, "a").hold).not.toBeNull();
    expect(t.govern(T0 + 100, "b").hold).not.toBeNull();
    expect(t.govern(T0 + 100, "c").hold, "two sites, however often").toBeNull();
    listed(t, "c", T0 + 200);
    expect(t.govern(T0 + 200, "never heard of").hold).toMatchObject({ by: "listed", since: T0 + 200 });
    expect(t.govern(T0 + 200, "never heard of", 2).hold).toBeNull();
    expect(t.changes).toContainEqual({ publicId: 1 });
  });

  test("one hostile site does not keep it stopped: others accept, and the site stays stopped alone", () => {
    const t = told();
    for (const site of ["a", "b", "c"]) listed(t, site, T0);
    t.run(T0, T0 + HOUR);
    const at = T0 + HOUR;
    expect(t.govern(at, "z")).toMatchObject({ messages: 5, hold: null });
    t.governor.granted("z", path(), 5, at);
    listed(t, "a", at);
    t.governor.observe([report({ site: "z", accepted: 3 }), report({ site: "a", rejected: 2 })], [], at);
    expect(t.govern(at, "z").hold).toBeNull();
    expect(t.governor.list(at).find(({ site }) => site === "")?.stage).toBe("ramp");
    expect(t.govern(at, "a").messages).toBeLessThanOrEqual(5);
  });

  test("in a ramp over all sites their messages are counted together", () => {
    const t = told();
    for (const site of ["a", "b", "c"]) listed(t, site, T0);
    t.run(T0, T0 + HOUR);
    t.governor.granted("z", path(), 5, T0 + HOUR);
    t.governor.observe([report({ site: "z", accepted: 5 })], [], T0 + HOUR);
    // 600 an hour at least, a sixteenth of it, in five minutes.
    expect(t.govern(T0 + HOUR, "y").messages).toBe(3);
    t.governor.granted("y", path(), 2, T0 + HOUR);
    expect(t.govern(T0 + HOUR, "z").messages).toBe(1);
  });
});
