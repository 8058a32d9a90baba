/** The page about the template language: made from the table of helpers, so that it cannot say anything else. */
import { HELPERS } from "../model/template-helpers.ts";
import { RESERVED_VARIABLES } from "../render/compose.ts";

/** ops/templates.md. */
export function templatesPage(): string {
  const rows = [...HELPERS.values()].map(({ usage, doc, options }) => {
    const named = options.length === 0 ? "" : ` (also ${options.map((option) => `\`${option}=\``).join(", ")})`;
    return `| \`{{${usage}}}\` | ${doc.replaceAll("|", "\\|")}${named} |`;
  });
  return `# Templates

Subject, HTML, text, display names and extra headers are templates in Handlebars' language: \`{{first}}\`, \`{{address.city}}\`,
\`{{#if code}}…{{else}}…{{/if}}\`, \`{{#each items}}{{this.name}}{{/each}}\`, \`{{#unless}}\`, \`{{#with}}\`. In HTML a value is escaped
(\`{{{markup}}}\` is not); in text and headers nothing is. A missing variable prints nothing.

A recipient's variables win over the content's \`globals\`; over both stand ${RESERVED_VARIABLES.map((name) => `\`${name}\``).join(", ")}.
\`@now\` is the moment of sending.

A mistake is refused when the content is submitted, with its line and column. A recipient whose variables make no sense for a helper, bring
a line feed into a header or make the template run without end fails alone, with the reason in the ledger: at most 10,000 turns of
loops and 2 million characters a message. There are no partials, no access to prototypes, and no code is ever made from a template.

| helper | |
|---|---|
${rows.join("\n")}

Helpers nest in parentheses: \`{{upper (default city 'your town')}}\`, \`{{#if (gt points 100)}}\`.
`;
}
