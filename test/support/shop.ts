/** The sender's own web server, on loopback: a page for whatever it is asked, or the one a test puts there; a picture under /i/. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Shop {
  readonly url: string;
  /** Paths asked for, with their queries; and the Referer of each. */
  readonly asked: { readonly path: string; readonly referer: string }[];
  close(): Promise<void>;
}

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body>${body}</body></html>`;

/** Shows a page for whatever it is asked, or what stands in `pages`. */
export async function openShop(pages: ReadonlyMap<string, string> = new Map()): Promise<Shop> {
  const asked: { path: string; referer: string }[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push({ path, referer: request.headers.referer ?? "" });
    if (path.startsWith("/i/")) {
      response.writeHead(200, { "content-type": "image/svg+xml" });
      return response.end(
        '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="60"><rect width="120" height="60" fill="#c84"/></svg>',
      );
    }
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    return response.end(
      pages.get(path) ?? page("Shop", `<h1>Shop</h1><p id="path">${path.replaceAll("&", "&amp;")}</p>`),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
