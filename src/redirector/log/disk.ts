/** What the tracking log does to a disk, as an argument: a test hands in one that is full, or slow, or lies. */
import { close, constants, fdatasync, open, read, write } from "node:fs";
import { truncate, unlink } from "node:fs/promises";
import { promisify } from "node:util";

export interface Disk {
  /** Opens for appending; what is appended is on the disk when `append` resolves. `fresh`: fails when there is such a file. */
  open(path: string, fresh: boolean): Promise<number>;
  /** Appends all of it; a short write goes on, so a disk that is full in the middle is an error. */
  append(fd: number, bytes: Buffer): Promise<void>;
  close(fd: number): Promise<void>;
  truncate(path: string, bytes: number): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes the names in a folder outlive a power cut. */
  syncFolder(folder: string): Promise<void>;
  /** Up to `most` octets from a place in a file; fewer when the file has no more. */
  read(path: string, from: number, most: number): Promise<Buffer>;
}

// O_DSYNC: one call to write and sync, so one trip to libuv's threads instead of two.
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC;
const opened = promisify(open);
const closed = promisify(close);
const synced = promisify(fdatasync);

export const realDisk: Disk = {
  open: (path, fresh) => opened(path, APPEND | (fresh ? constants.O_EXCL : constants.O_TRUNC), 0o600),
  append: (fd, bytes) =>
    new Promise((resolve, reject) => {
      const from = (at: number): void =>
        write(fd, bytes, at, bytes.length - at, null, (error, written) => {
          if (error !== null) reject(error);
          else if (at + written < bytes.length) from(at + written);
          else resolve();
        });
      from(0);
    }),
  close: (fd) => closed(fd),
  truncate: (path, bytes) => truncate(path, bytes),
  unlink: (path) => unlink(path),
  async syncFolder(folder) {
    const fd = await opened(folder, "r");
    try {
      await synced(fd);
    } finally {
      await closed(fd);
    }
  },
  async read(path, from, most) {
    const fd = await opened(path, "r");
    try {
      const bytes = Buffer.allocUnsafe(most);
      let at = 0;
      while (at < most) {
        const got = await reads(fd, bytes, at, most - at, from + at);
        if (got === 0) break;
        at += got;
      }
      return bytes.subarray(0, at);
    } finally {
      await closed(fd);
    }
  },
};

function reads(fd: number, into: Buffer, at: number, most: number, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, at, most, from, (error, got) => (error === null ? resolve(got) : reject(error)));
  });
}
