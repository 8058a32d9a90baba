/**
 * Where a report that is one text stops speaking and the message it is about begins. By the lines programs are known to write there, else by the look of
 * a header: several lines of names that mails begin with.
 */

export interface CutText {
  readonly said: string;
  /** '' when nothing is returned. */
  readonly returned: string;
}

/** Lines that announce it, whatever marks stand around them. */
const ANNOUNCED =
  /^[\s*>|=_+-]*(?:below (?:this line|here|follows)|(?:(?:this|here) is |enclosed is |included is |following is |the following is |below is )?(?:a copy of |the headers? of |the (?:text|contents?|beginning) of )(?:the |your )?(?:original |returned |undelivered |first )?(?:message|mail|e-?mail)|(?:the |your )?original (?:message|mail|e-?mail)|the following message|un(?:sent|delivered|deliverable) message|returned (?:message|mail)|message (?:text|body|headers?|contents?)\b|headers? (?:follows?|below|begins)|start of (?:returned|original)|copy of (?:the |your )?(?:original |returned )?(?:message|header)|(?:mensaje|mensagem|messaggio) original|message d'origine|message original|urspr(?:ü|ue?)ngliche nachricht|original[- ]?nachricht|исходное сообщение|--- ?元のメッセージ|原始邮件|原邮件)[^\n]{0,80}$/i;

const NAMES =
  /^(?:received|return-path|message-id|from|date|subject|to|cc|mime-version|content-type|content-transfer-encoding|delivered-to|dkim-signature|domainkey-signature|x-[\w-]+|reply-to|sender|user-agent|in-reply-to|references|list-[\w-]+|authentication-results|received-spf|arc-[\w-]+|errors-to|precedence|organization|importance)[ \t]*:/i;
/** Those that nobody writes to people. */
const SURE =
  /^(?:received|return-path|message-id|mime-version|dkim-signature|domainkey-signature|delivered-to|x-[\w-]+)[ \t]*:/i;

const LINES_MOST = 3000;

export function cutReturned(text: string): CutText {
  const lines = text.split("\n", LINES_MOST);
  let offset = 0;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const header = headerAt(lines, i);
    if (header >= 0) return { said: text.slice(0, offset), returned: unindented(text.slice(offset)) };
    if (line.length < 160 && ANNOUNCED.test(line)) {
      // Only when something like a message comes: some announce what is attached, and go on.
      const next = nextFilled(lines, i + 1);
      if (next >= 0 && beginsMessage(lines, next)) {
        const behind = offset + lines.slice(i, next).reduce((sum, each) => sum + each.length + 1, 0);
        return { said: text.slice(0, offset), returned: unindented(text.slice(behind)) };
      }
    }
    offset += line.length + 1;
  }
  return { said: text, returned: "" };
}

/** The first line of a header with at least one line that is sure; -1 for none. */
function headerAt(lines: readonly string[], at: number): number {
  const line = (lines[at] ?? "").replace(/^[>|\s]+/, "");
  if (!NAMES.test(line)) return -1;
  let names = 0;
  let sure = 0;
  for (let i = at; i < Math.min(lines.length, at + 40); i++) {
    const each = (lines[i] ?? "").replace(/^[>|]+ ?/, "");
    if (each.trim() === "") break;
    const bare = each.trimStart();
    if (NAMES.test(bare)) {
      names++;
      if (SURE.test(bare)) sure++;
    } else if (!/^\s/.test(each)) break;
  }
  return names >= 3 && sure >= 1 ? at : -1;
}

/** After an announcement less is asked for: one line of a header, within the first three. */
function beginsMessage(lines: readonly string[], at: number): boolean {
  return lines.slice(at, at + 3).some((line) => NAMES.test(line.replace(/^[>|\s]+/, "")));
}

function nextFilled(lines: readonly string[], from: number): number {
  for (let i = from; i < Math.min(lines.length, from + 6); i++) if ((lines[i] ?? "").trim() !== "") return i;
  return -1;
}

/** Some programs indent or quote what they return. */
function unindented(text: string): string {
  const indent = /^(?:[>|] ?| {1,8}|\t)+/.exec(text)?.[0] ?? "";
  if (indent === "") return text;
  return text
    .split("\n", LINES_MOST)
    .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    .join("\n");
}
