/**
 * Dates, numbers and plurals by locale. Intl's formatters cost 20–50 µs to make and 1 µs to use, so they are kept, at most 200 of a
 * kind: locale and time zone may come from a recipient's variables, and a hostile list must not fill the memory.
 */
const KEPT = 200;

const dates = new Map<string, Intl.DateTimeFormat>();
const numbers = new Map<string, Intl.NumberFormat>();
const plurals = new Map<string, Intl.PluralRules>();

const STYLES = ["short", "medium", "long", "full"] as const;
type Style = (typeof STYLES)[number];

/**
 * Formats an ISO 8601 text or epoch milliseconds. `pattern`: one of short, medium, long, full, or letters as in Unicode TR 35:
 * yyyy yy MMMM MMM MM M dd d EEEE EEE HH H hh h mm ss SSS a, 'text' in quotes as it is. Throws RangeError on a bad date or zone.
 */
export function formatDate(value: unknown, pattern: string, timeZone: string, locale: string): string {
  const date = toDate(value);
  if ((STYLES as readonly string[]).includes(pattern)) {
    return dateFormat(locale, timeZone, { dateStyle: pattern as Style }).format(date);
  }
  return pattern.replace(
    /'((?:[^']|'')*)'|[Yy]{4}|[Yy]{2}|M{1,4}|d{1,2}|D{1,2}|E{3,4}|H{1,2}|h{1,2}|m{1,2}|s{1,2}|SSS|a/g,
    (token, quoted?: string) =>
      quoted === undefined ? datePart(date, token, timeZone, locale) : quoted.replaceAll("''", "'") || "'",
  );
}

/** `currency` '' for a plain number; `decimals` null for what is usual. Throws RangeError on a bad locale, code or count. */
export function formatNumber(value: number, locale: string, decimals: number | null, currency: string): string {
  const format = kept(numbers, `${locale}|${decimals}|${currency}`, () => {
    const digits = decimals === null ? {} : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    return new Intl.NumberFormat(locale, { ...digits, ...(currency === "" ? {} : { style: "currency", currency }) });
  });
  return format.format(value);
}

/** zero, one, two, few, many or other. */
export function pluralForm(count: number, locale: string): string {
  return kept(plurals, locale, () => new Intl.PluralRules(locale)).select(count);
}

function toDate(value: unknown): Date {
  // CSV has no numbers: a text of digits only is milliseconds, not a year.
  const numeric = typeof value === "string" && /^-?\d{5,}$/.test(value) ? Number(value) : value;
  const date = typeof numeric === "number" || typeof numeric === "string" ? new Date(numeric) : new Date(Number.NaN);
  if (Number.isNaN(date.getTime()))
    throw new RangeError(`date: ${JSON.stringify(String(value).slice(0, 40))} is not a date`);
  return date;
}

function datePart(date: Date, token: string, timeZone: string, locale: string): string {
  const part = (options: Intl.DateTimeFormatOptions, type: Intl.DateTimeFormatPartTypes, where = locale): string =>
    dateFormat(where, timeZone, options)
      .formatToParts(date)
      .find((p) => p.type === type)?.value ?? "";
  // Digits are read in English: the letters ask for a layout, the locale for words.
  const digits = (
    type: "year" | "month" | "day" | "hour" | "minute" | "second",
    options: Intl.DateTimeFormatOptions = {},
  ): string => part({ [type]: "numeric", ...options }, type, "en").padStart(token.length, "0");
  switch (token[0]) {
    case "y":
    case "Y":
      return token.length === 2 ? digits("year").slice(-2) : digits("year").padStart(4, "0");
    case "M":
      // With a day beside it many languages bend the month's name: 5 мая, not 5 май.
      if (token.length >= 3) return part({ day: "numeric", month: token.length === 3 ? "short" : "long" }, "month");
      return digits("month");
    case "d":
    case "D":
      return digits("day");
    case "E":
      return part({ weekday: token.length === 3 ? "short" : "long" }, "weekday");
    case "H":
      return digits("hour", { hourCycle: "h23" });
    case "h":
      return digits("hour", { hourCycle: "h12" });
    case "m":
      return digits("minute").padStart(2, "0");
    case "s":
      return digits("second").padStart(2, "0");
    case "S":
      return String(date.getUTCMilliseconds()).padStart(3, "0");
    default:
      return part({ hour: "numeric", hourCycle: "h12" }, "dayPeriod");
  }
}

function dateFormat(locale: string, timeZone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return kept(
    dates,
    `${locale}|${timeZone}|${JSON.stringify(options)}`,
    () => new Intl.DateTimeFormat(locale, { ...options, timeZone }),
  );
}

function kept<T>(map: Map<string, T>, key: string, make: () => T): T {
  let value = map.get(key);
  if (value === undefined) {
    if (map.size >= KEPT) map.clear();
    value = make();
    map.set(key, value);
  }
  return value;
}
