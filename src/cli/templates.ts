/** The page about the template language: made from the table of helpers, so that it cannot say anything else. */
import { HELPERS } from "../model/template-helpers.ts";
import { RESERVED_VARIABLES } from "../render/variables.ts";

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

\`messageToken\` names the message to web tracking. \`unsubscribeUrl\` and \`mirrorUrl\` are the addresses where the reader unsubscribes, and sees the
message in a browser; they are empty where a delivery has no \`tracking\` (the first not, where it has \`listUnsubscribe\`).

| helper | |
|---|---|
${rows.join("\n")}

Helpers nest in parentheses: \`{{upper (default city 'your town')}}\`, \`{{#if (gt points 100)}}\`.

## Links

Where a delivery is tracked, the address of every \`<a href>\` and \`<area href>\` of the HTML is replaced by one of the redirection server, in
Outlook's conditional comments too. Nothing else of the document changes. Three attributes of a link are ours and are taken out:

| attribute | |
|---|---|
| \`data-track="off"\` | the link is left alone |
| \`data-track="on"\` | it is tracked though its label is a URL or a domain: filters against phishing do not like that |
| \`data-track-name\`, \`data-track-category\` | what it is called in lists and statistics; else its text, or that of its image |

Left alone are addresses that are not http or https, relative ones, places in the document, those with a user name, \`{{unsubscribeUrl}}\` and
\`{{mirrorUrl}}\`. An address may hold expressions and blocks: it is signed when the message is made, from what they printed, and left as it was
printed if nobody can be led there. Where the host is an expression, or goes on with one (\`https://shop.example{{path}}\`), the variable decides where the reader
is led, under the name of your tracking domain: fill it from your own data and never with what somebody typed into a form, or write the host out up to its
slash. A link that begins in one branch of a block and goes on in another is left alone.
\`GET /v1/deliveries/{id}/links\` lists all of them, with the reason where one is left alone.

In the text part URLs are tracked where \`tracking.textLinks\` asks for it: those that begin with \`http://\` or \`https://\`, and expressions that are
an address in the HTML too or whose name ends with \`url\`, \`link\` or \`href\`.

An AMP part (\`content.amp\`) is a template as well: write \`\\{{\` for braces that are AMP's own. Links it fills in itself are left alone.
`;
}
