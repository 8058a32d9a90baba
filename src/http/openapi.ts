/** The OpenAPI 3.1 document, made from the routes themselves. The only importer of @fastify/swagger. */
import swagger from "@fastify/swagger";
import type { Server } from "./server.ts";

export interface DocumentInfo {
  readonly title: string;
  readonly version: string;
  readonly description: string;
}

/** Must be called before the first route. The document is then `describe()` of what it returns. */
export async function openDocument(server: Server, info: DocumentInfo): Promise<{ describe(): unknown }> {
  await server.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info,
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    // The routes carry JSON Schema already.
    convertConstToEnum: false,
  });
  return { describe: () => server.swagger() };
}
