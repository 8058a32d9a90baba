/** Suppressions over the API: one by one, and as CSV in and out. */
import { expect, test } from "vitest";
import { openTestApi } from "../support/api.ts";

const api = await openTestApi();
const importCsv = (csv: string | Buffer) =>
  api.call("POST", "/v1/suppressions/import", csv, { headers: { "content-type": "text/csv" } });

test("put, read, replace, delete; the case of an address does not count", async () => {
  expect(
    (await api.call("PUT", "/v1/suppressions/Ann@Example.com", { reason: "asked", note: "by phone" })).status,
  ).toBe(201);
  expect((await api.get("/v1/suppressions/ann@EXAMPLE.com")).body).toMatchObject({
    address: "ann@example.com",
    reason: "asked",
    source: "api",
    note: "by phone",
    expiresAt: null,
  });
  const again = await api.call("PUT", "/v1/suppressions/ANN@example.com", {
    reason: "complained",
    expiresAt: "2100-01-01T00:00:00Z",
  });
  expect(again).toMatchObject({ status: 200, body: { reason: "complained", expiresAt: "2100-01-01T00:00:00.000Z" } });
  expect((await api.call("DELETE", "/v1/suppressions/ann@example.com")).status).toBe(204);
  expect((await api.get("/v1/suppressions/ann@example.com")).status).toBe(404);
  expect((await api.call("DELETE", "/v1/suppressions/ann@example.com")).status).toBe(404);
});

test("what is wrong is refused", async () => {
  expect((await api.call("PUT", "/v1/suppressions/nobody", {})).status).toBe(400);
  expect((await api.call("PUT", "/v1/suppressions/a%0D%0A@example.com", {})).status).toBe(400);
  expect((await api.call("PUT", "/v1/suppressions/a@example.com", { reason: "x\r\ny" })).status).toBe(400);
  expect(
    (await api.call("PUT", "/v1/suppressions/a@example.com", { raeson: "x" })).body["errors"][0].message,
  ).toContain("reason");
  expect((await importCsv("name;city\nA;B\n")).status).toBe(400);
});

test("import, again with changes, and export give back what was put in", async () => {
  const csv = `address,reason,note,expires_at\r\n"x1@example.com",bounced,"a ""quoted"", note",\r\nX2@example.com,,,2100-01-01T00:00:00Z\r\nbroken,x,,\r\nx3@example.com,x,,yesterday\r\nx1@EXAMPLE.com,later,=1+1,\r\n`;
  expect((await importCsv(csv)).body).toEqual({
    added: 2,
    replaced: 1,
    invalid: 2,
    errors: [
      { line: 4, reason: "there is no @" },
      { line: 5, reason: "expires_at is not a time" },
    ],
  });
  expect((await importCsv(csv)).body).toMatchObject({ added: 0, replaced: 3 });
  const out = await api.get("/v1/suppressions/export");
  expect(out.headers["content-type"]).toContain("text/csv");
  const lines = out.text.trimEnd().split("\r\n");
  expect(lines[0]).toBe("address,reason,source,note,created_at,expires_at");
  expect(lines[1]).toMatch(/^x1@example\.com,later,import,'=1\+1,/);
  expect(lines[2]).toMatch(/^x2@example\.com,import,import,,.*,2100-01-01T00:00:00\.000Z$/);
  // A list of bare addresses has no header.
  expect((await importCsv("y1@example.com\ny2@example.com\n")).body).toMatchObject({ added: 2, invalid: 0 });
});

test("a big list goes in and comes out whole; pages and search", async () => {
  const csv = [
    "address",
    ...Array.from({ length: 12_345 }, (_, i) => `big${String(i).padStart(5, "0")}@example.org`),
  ].join("\n");
  expect((await importCsv(csv)).body).toMatchObject({ added: 12_345, invalid: 0 });
  const out = (await api.get("/v1/suppressions/export")).text.trimEnd().split("\r\n");
  expect(out.filter((line) => line.includes("@example.org"))).toHaveLength(12_345);
  expect(new Set(out).size).toBe(out.length);
  const found = await api.get("/v1/suppressions?search=BIG0123&limit=3");
  expect(found.body["suppressions"].map((s: { address: string }) => s.address)).toEqual([
    "big01230@example.org",
    "big01231@example.org",
    "big01232@example.org",
  ]);
  const next = await api.get(`/v1/suppressions?search=big0123&limit=3&cursor=${found.body["nextCursor"]}`);
  expect(next.body["suppressions"][0].address).toBe("big01233@example.org");
  expect((await api.get("/v1/suppressions?search=%25'%3B--")).body["suppressions"]).toEqual([]);
});
