/** Many lines to stdout, as fast as they are read. Who reads may stop (`| head`): then nothing more is made, and that is no failure. */
import { once } from "node:events";

export interface LinesOut {
  /** False: nobody reads any more. */
  print(line: string): Promise<boolean>;
}

export function openLinesOut(out: NodeJS.WriteStream = process.stdout): LinesOut {
  let open = true;
  out.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    open = false;
  });
  return {
    async print(line) {
      if (open && !out.write(`${line}\n`)) await once(out, "drain").catch(() => (open = false));
      return open;
    },
  };
}
