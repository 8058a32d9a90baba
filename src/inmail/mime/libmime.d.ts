/** The two of libmime's functions that are used (it brings no types of its own). */
declare module "libmime" {
  const libmime: {
    /** RFC 2047 encoded words in a header value; octets that are none are left as they are. */
    decodeWords(text: string): string;
    readonly charset: {
      /** Throws, or answers in octets, for a character set nobody knows. */
      decode(bytes: Uint8Array, charset: string): string;
    };
  };
  export default libmime;
}
