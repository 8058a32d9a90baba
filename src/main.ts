/**
 * The command line, and the only importer of commander. Exit codes: 0 done, 1 our surroundings (database, ports, disk), 2 the command
 * was not understood, 70 a bug, 78 settings or key files have to be changed.
 */
import { Command, CommanderError } from "commander";
import manifest from "../package.json" with { type: "json" };
import { EXIT, exitCodeOf, told } from "./base/exit.ts";
import { run, start } from "./cli/appliance.ts";
import { migrateDatabase, tokenCreate, tokenList, tokenRevoke } from "./cli/database.ts";
import { type KeygenOptions, dkimKeygen } from "./cli/dkim.ts";
import { configCheck, configExample, configShow } from "./cli/settings.ts";
import type { ExplainOptions } from "./cli/stat.ts";
import type { ShowOptions } from "./cli/stat-show.ts";
import type { SuspendOptions } from "./cli/suspend.ts";
import type { RotateOptions } from "./cli/token-keys.ts";
import { UsageError } from "./cli/usage.ts";

function commandLine(): Command {
  const program = new Command("postilion");
  program.description(manifest.description).version(manifest.version, "--version");
  program.option(
    "-c, --config <file>",
    "settings file (default: $POSTILION_CONFIG, ./postilion.yaml, /etc/postilion/postilion.yaml)",
  );
  program.exitOverride();
  const config = (): string | undefined => program.opts<{ config?: string }>().config;

  program
    .command("start")
    .description("run the whole appliance until it is told to stop")
    .action(async () => process.exit(await start(config())));
  program
    .command("run <module>")
    .description("run one module of it in this process")
    .option("--slot <n>", "number of this process among those of the module", "0")
    .action(async (name: string, { slot }: { slot: string }) => {
      if (!/^\d{1,4}$/.test(slot)) throw new UsageError(`--slot is a number, not ${slot}`);
      // What a module left open does not keep a stopped process alive.
      process.exit(await run(config(), name, Number(slot)));
    });
  program
    .command("migrate")
    .description("bring the database to the schema of this version")
    .action(() => migrateDatabase(config()));

  const settings = program.command("config").description("look at the settings");
  settings
    .command("check")
    .description("say what is wrong with them")
    .action(() => configCheck(config()));
  settings
    .command("show")
    .description("print those in force, secrets masked")
    .action(() => configShow(config()));
  settings
    .command("example")
    .description("print a settings file with every default")
    .option("--markdown", "as a table")
    .action(({ markdown }: { markdown?: boolean }) => configExample(markdown === true));

  program
    .command("templates")
    .description("print the page about the template language and its helpers")
    .action(async () => console.log((await import("./cli/templates.ts")).templatesPage().trimEnd()));

  const dkim = program.command("dkim").description("signing keys");
  dkim
    .command("keygen <domain> <selector>")
    .description("make a key; print its DNS record and the settings for it")
    .option("--type <type>", "rsa or ed25519", "rsa")
    .option("--bits <n>", "size of an RSA key", "2048")
    .option("--out <file>", "where to (default: keys/dkim under dataDir)")
    .action((domain: string, selector: string, options: KeygenOptions) =>
      dkimKeygen(config(), domain, selector, options),
    );

  const keys = program.command("keys").description("keys that sign the tokens of messages and the tracked links");
  keys
    .command("list")
    .description("list them, with fingerprints to compare machines by")
    .action(async () => (await import("./cli/token-keys.ts")).keysList(config()));
  keys
    .command("rotate")
    .description("let a new key sign; those before it verify until they are retired")
    .option("--prepare", "only make the next one, to be copied to other machines before it signs")
    .option("--now", "sign with a new one though the redirection servers of the settings do not have it")
    .option("--retire <id>", "and end this one: mail that was signed with it is not known any more")
    .action(async (options: RotateOptions) => (await import("./cli/token-keys.ts")).keysRotate(config(), options));
  keys
    .command("retire <id>")
    .description("end one that does not sign any more")
    .action(async (id: string) => (await import("./cli/token-keys.ts")).keysRetire(config(), id));

  const stat = program.command("stat").description("how fast mail may go: rules, and what is at work");
  stat
    .command("check [file]")
    .description("say what is wrong with the rules, those in force or those of a file; exit code 1 if something is")
    .option("--json", "as JSON")
    .action(async (file: string | undefined, { json }: { json?: boolean }) => {
      process.exitCode = (await import("./cli/stat.ts")).statCheck(config(), file, json === true);
    });
  stat
    .command("explain <domain>")
    .description(
      "its exchangers, the rule and limits for them, where each comes from, and what is at work now; exit code 1 if the DNS does not say where its mail goes",
    )
    .option("--exchanger", "it is the name of an exchanger: its MX records are not asked for")
    .option("--public-id <n>", "for this outgoing IP only")
    .option("--json", "as JSON")
    .action(async (target: string, options: ExplainOptions) => {
      process.exitCode = await (await import("./cli/stat.ts")).statExplain(config(), target, options);
    });

  stat
    .command("show [site|domain]")
    .description("the sites with most to do and what holds them, or all about one")
    .option("--watch", "again every two seconds, until Ctrl-C")
    .option("--json", "as JSON")
    .action(async (site: string | undefined, options: ShowOptions) => {
      process.exitCode = await (await import("./cli/stat-show.ts")).statShow(config(), site, options);
    });
  stat
    .command("members")
    .description("the machines that are connected to the statistics server")
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => {
      process.exitCode = await (await import("./cli/stat-show.ts")).statMembers(config(), json === true);
    });
  stat
    .command("reload")
    .description(
      "make all statistics servers read their rules, and stat.rules, stat.breaker and stat.warmUp of the settings; no counter is lost; exit code 1 if one finds a mistake",
    )
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => {
      process.exitCode = await (await import("./cli/stat-reload.ts")).statReload(config(), json === true);
    });

  const tracking = program.command("tracking").description("opens and clicks: how far they are counted");
  tracking
    .command("show")
    .description(
      "the redirection servers, how far the log of each is read, and what is wrong with it; exit code 1 if one does not answer",
    )
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => {
      process.exitCode = await (await import("./cli/tracking-show.ts")).trackingShow(config(), json === true);
    });
  const bounce = program.command("bounce").description("what failures mean, and what comes back by mail");
  bounce
    .command("classify <files...>")
    .description("what mails are (of folders all below them) and what they say of each recipient; needs no database")
    .option("--json", "a JSON object a mail")
    .action(async (files: string[], { json }: { json?: boolean }) => {
      process.exitCode = await (
        await import("./cli/bounce-classify.ts")
      ).bounceClassify(config(), files, json === true);
    });
  bounce
    .command("replies <file.jsonl>")
    .description("classify SMTP replies, a JSON object with id and reply a line; needs no database")
    .option("--json", "a JSON object a line")
    .action(async (file: string, { json }: { json?: boolean }) => {
      process.exitCode = await (await import("./cli/bounce-replies.ts")).bounceReplies(config(), file, json === true);
    });
  bounce
    .command("rules")
    .description("the table that decides it")
    .command("check [file]")
    .description(
      "prove every bounce rule by its examples; find those that can never match; exit code 1 if one is wrong",
    )
    .option("--json", "as JSON")
    .action(async (file: string | undefined, { json }: { json?: boolean }) => {
      process.exitCode = (await import("./cli/bounce-rules.ts")).bounceRulesCheck(config(), file, json === true);
    });

  program
    .command("why <message|delivery|domain>")
    .description("what it waits for: since when, set by what, and when it moves")
    .option("--json", "as JSON")
    .action(async (target: string, { json }: { json?: boolean }) => {
      process.exitCode = await (await import("./cli/why.ts")).why(config(), target, json === true);
    });
  program
    .command("suspend [site]")
    .description(
      "stop mail to a site (or a mask over exchanger names), from an outgoing IP, or of a delivery; without any: list",
    )
    .option("--public-id <n>", "from this outgoing IP only, or all of it")
    .option("--delivery <id>", "pause this delivery")
    .option("--reason <text>", "why; kept for ever")
    .option("--for <time>", "for so long: 90m, 2h, 3d (default: until it is resumed)")
    .action(async (site: string | undefined, options: SuspendOptions) =>
      (await import("./cli/suspend.ts")).suspend(config(), site, options),
    );
  program
    .command("resume [number|site]")
    .description("end a suspension")
    .option("--public-id <n>", "the one of this outgoing IP")
    .option("--delivery <id>", "let this delivery go on")
    .action(async (target: string | undefined, options: SuspendOptions) =>
      (await import("./cli/suspend.ts")).resume(config(), target, options),
    );

  const token = program.command("token").description("tokens for the API");
  token
    .command("create <name>")
    .description("make one and print it")
    .option("--scopes <list>", "what it may do, comma-separated (default: everything)", "")
    .action((name: string, { scopes }: { scopes: string }) => tokenCreate(config(), name, scopes));
  token
    .command("list")
    .description("list them")
    .action(() => tokenList(config()));
  token
    .command("revoke <id>")
    .description("end one")
    .action((id: string) => tokenRevoke(config(), id));
  return program;
}

try {
  await commandLine().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has said it already; help and version end here too, with 0.
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  } else {
    const usage = error instanceof UsageError;
    console.error(`postilion: ${usage ? error.message : told(error)}`);
    process.exitCode = usage ? EXIT.usage : exitCodeOf(error);
  }
}
