import { describe, expect, test } from "vitest";
import { type LinkStop, openStops, signStops, verifyStops } from "../../src/model/stops.ts";
import type { TokenKey } from "../../src/model/token.ts";

const key = (id: number): TokenKey => ({ id, secret: Buffer.alloc(32, id) });
const stop = (of: Partial<LinkStop>): LinkStop => ({
  delivery: 7,
  link: -1,
  disabled: false,
  expiresAt: 0,
  url: "",
  ...of,
});

describe("what is no list", () => {
  const text = signStops(key(1), { at: 5, stops: [stop({ disabled: true })] });
  const changed = (from: string, to: string): string => {
    expect(text).toContain(from);
    return text.replace(from, to);
  };
  test.each([
    ["", "not JSON"],
    ["null", "not signed"],
    ["[1]", "not signed"],
    [`{"at":5,"stops":[]}`, "not signed"],
    [`{"at":5,"stops":[],"mac":"${"0".repeat(64)}"}`, "not signed with a key of ours"],
    [`{"at":5,"stops":${"[".repeat(5000)}${"]".repeat(5000)},"mac":"${"0".repeat(64)}"}`, "not a list of stops"],
    [changed(`"at":5`, `"at":6`), "not signed with a key of ours"],
    [changed(`[7,-1,1`, `[7,-1,0`), "not signed with a key of ours"],
    [changed(`[7,-1,1`, `[7,-2,1`), "not a list of stops"],
    [changed(`[7,-1,1`, `[7.5,-1,1`), "not a list of stops"],
    [changed(`,""]]`, `,"",""]]`), "not a list of stops"],
  ])("%s", (text, why) => {
    expect(verifyStops([key(1)], text)).toBe(why);
  });

  test("one signed with a retired key", () => {
    expect(verifyStops([key(2)], text)).toBe("not signed with a key of ours");
    expect(verifyStops([key(2), key(1)], text)).toMatchObject({ at: 5 });
  });
});

test("a list comes back as it went, however its JSON is spaced", () => {
  const list = { at: 1_790_000_000_000, stops: [stop({ url: "https://a.example/ü?\u2028" }), stop({ link: 3 })] };
  const text = signStops(key(1), list);
  expect(verifyStops([key(1)], text)).toEqual(list);
  expect(verifyStops([key(1)], JSON.stringify(JSON.parse(text), null, 2))).toEqual(list);
});

describe("where a link leads", () => {
  const direction = (stops: LinkStop[], link = 3, now = 1000) => openStops({ at: 1, stops }).direction(7, link, now);
  const a = "https://a.example/";
  const b = "https://b.example/";

  test.each<[string, LinkStop[], object]>([
    ["nothing is said", [], { kind: "go" }],
    ["of another delivery", [stop({ delivery: 8, disabled: true })], { kind: "go" }],
    ["of another link", [stop({ link: 4, disabled: true })], { kind: "go" }],
    ["disabled", [stop({ link: 3, disabled: true })], { kind: "gone" }],
    ["all disabled", [stop({ disabled: true })], { kind: "gone" }],
    ["all disabled, with another URL", [stop({ disabled: true, url: a })], { kind: "elsewhere", url: a }],
    ["not yet expired", [stop({ expiresAt: 1001, url: a })], { kind: "go" }],
    ["expired", [stop({ expiresAt: 1000 })], { kind: "gone" }],
    ["expired, with another URL", [stop({ expiresAt: 1000, url: a })], { kind: "elsewhere", url: a }],
    ["the link leads elsewhere", [stop({ link: 3, url: a })], { kind: "elsewhere", url: a }],
    ["the link before the delivery", [stop({ url: b }), stop({ link: 3, url: a })], { kind: "elsewhere", url: a }],
    ["the kill switch before the link", [stop({ disabled: true }), stop({ link: 3, url: a })], { kind: "gone" }],
    ["a line that says nothing", [stop({}), stop({ link: 3 })], { kind: "go" }],
    ["elsewhere is no place", [stop({ link: 3, url: "javascript:alert(1)" })], { kind: "gone" }],
    ["elsewhere hides a host", [stop({ link: 3, url: "https://good.example@evil.example/" })], { kind: "gone" }],
  ])("%s", (_what, stops, expected) => {
    expect(direction(stops)).toEqual(expected);
  });
});
