/** The note that a share is used without the server (quota/alone-file.ts), as the client keeps it. */
import type { AloneNote } from "../alone-file.ts";

export interface Noting {
  /** The process before this one may have used its share, and the server has not stored that yet. */
  readonly unsure: boolean;
  /** Notes it down; nothing is taken without the server unless this says true. */
  write(): boolean;
  /** The server has stored what was used. */
  strikeOut(): void;
}

export function openNoting(note: AloneNote | undefined, say: (text: string) => void): Noting {
  let noted = note?.found ?? false;
  let unsure = noted;
  return {
    get unsure() {
      return unsure;
    },
    write() {
      if (noted || note === undefined) return true;
      try {
        note.set(true);
        noted = true;
      } catch (error) {
        say(`cannot note down that this machine sends without a server, so it does not: ${(error as Error).message}`);
      }
      return noted;
    },
    strikeOut() {
      unsure = false;
      if (!noted || note === undefined) return;
      try {
        note.set(false);
        noted = false;
      } catch (error) {
        say(`cannot remove the note that this machine sends without a server: ${(error as Error).message}`);
      }
    },
  };
}
