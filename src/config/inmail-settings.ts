/** Settings of what comes back by mail: section `inmail` of the settings (config/settings.ts). */
import { z } from "zod";

export const inmailSettingsSchema = z
  .strictObject({
    rulesFile: z
      .string()
      .default("")
      .describe("Your own bounce rules, over those that come along; empty: rules/bounces.yaml under dataDir, if there"),
  })
  .prefault({});

export type InmailSettings = z.output<typeof inmailSettingsSchema>;
