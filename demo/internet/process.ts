/**
 * The pretend Internet as a process of its own, so that it does not share a CPU thread with whoever measures: starts `main.ts`, asks
 * it over IPC, and ends it. Every answer has a time limit; when the parent goes, the channel closes and the child with it.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Answer, Opened, Report, Request } from "./messages.ts";
import type { ZoneRecord } from "./internet.ts";

export interface InternetProcess extends Opened {
  /** What was received so far; writes its files into `folder`. */
  report(folder: string): Promise<Report>;
  close(): Promise<void>;
}

const OPEN_MS = 20_000;
const REPORT_MS = 60_000;
const CLOSE_MS = 5000;

/** Rejects when it does not come up; `records` are added to its zone (DKIM keys). */
export async function startInternet(
  seed: number,
  recipients: number,
  records: readonly ZoneRecord[],
): Promise<InternetProcess> {
  const child = fork(fileURLToPath(new URL("./main.ts", import.meta.url)), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  try {
    const opened = await ask(child, { ask: "open", seed, recipients, records }, OPEN_MS);
    if (opened.answer !== "opened") throw new Error("the pretend Internet gave an odd answer");
    return {
      ...opened.opened,
      async report(folder) {
        const reported = await ask(child, { ask: "report", folder }, REPORT_MS);
        if (reported.answer !== "report") throw new Error("the pretend Internet gave an odd answer");
        return reported.report;
      },
      close: () => end(child),
    };
  } catch (error) {
    await end(child);
    throw error;
  }
}

/** One question at a time. */
function ask(child: ChildProcess, request: Request, ms: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => done(new Error(`the pretend Internet did not answer "${request.ask}" in ${ms / 1000} s`)),
      ms,
    );
    const answered = (answer: Answer): void => done(answer.answer === "error" ? new Error(answer.text) : answer);
    const exited = (code: number | null): void => done(new Error(`the pretend Internet ended with code ${code}`));
    function done(result: Answer | Error): void {
      clearTimeout(timer);
      child.off("message", answered);
      child.off("exit", exited);
      if (result instanceof Error) reject(result);
      else resolve(result);
    }
    child.on("message", answered);
    child.on("exit", exited);
    child.send(request, (error) => {
      if (error !== null) done(error);
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill("SIGKILL"), CLOSE_MS);
  await exited;
  clearTimeout(timer);
}
