/** Texts that try to be more than the value of a field: ends of lines in all disguises, ends of headers, of messages, of addresses, of encodings. */

/** By a name for the test report. */
export const INJECTIONS: Readonly<Record<string, string>> = {
  "CR LF": "a\r\nBcc: evil@evil.example\r\nX-Evil: 1",
  LF: "a\nBcc: evil@evil.example",
  CR: "a\rBcc: evil@evil.example",
  "folded CR LF": "a\r\n Bcc: evil@evil.example\r\n\tX-Evil: 1",
  "end of the headers": "a\r\n\r\nEvil body",
  "end of the headers, LF": "a\n\nEvil body",
  "end of the message": "a\r\n.\r\nMAIL FROM:<evil@evil.example>\r\nRCPT TO:<evil@evil.example>\r\nDATA\r\n",
  "end of the message, smuggled": "a\n.\nMAIL FROM:<evil@evil.example>\nRCPT TO:<evil@evil.example>",
  NUL: "a\0Bcc: evil@evil.example",
  "other controls": "a\x01\x08\x0b\x0c\x1b[31m\x7f\x85b",
  "Unicode line ends": "a\u2028Bcc: evil@evil.example\u2029X-Evil: 1\u0085Y: 1",
  "encoded word": "=?utf-8?q?a=0D=0ABcc=3A_evil=40evil.example?=",
  "encoded word, base64": "=?utf-8?b?YQ0KQmNjOiBldmlsQGV2aWwuZXhhbXBsZQ==?=",
  "end of an address": '"evil" <evil@evil.example>, <evil@evil.example>, b',
  "end of a quotation": 'a" <evil@evil.example>, "b',
  backslash: "a\\",
  comment: "a (evil) <evil@evil.example> ;:,@[]",
  "lone surrogate": "a\ud800b\udc00c",
  "right to left": "a\u202eelpmaxe.live@live\u202c",
  "8-bit": "a\u00e9\u{1f418}\r\nBcc: evil@evil.example",
  long: `${"a".repeat(900)}\r\nBcc: evil@evil.example`,
};
