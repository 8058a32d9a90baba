/** The messages of a lane between its queue and a session: being rendered, or ready with their bytes. */
import type { Rendered, RenderResult } from "../render/contract.ts";
import type { Held } from "./held.ts";

export interface Ready {
  readonly held: Held;
  readonly rendered: Extract<Rendered, { from: string }>;
}

export interface StockDeps {
  render(held: Held): Promise<RenderResult>;
  freeBytes(bytes: number): void;
  /** It is rendered; false: it is not wanted any more and has been dealt with. */
  keep(held: Held): boolean;
  /** It could not be rendered: `error` is its own fault, '' that of the threads. */
  failed(held: Held, error: string): void;
  /** A message became ready, or none. */
  changed(): void;
}

export interface Stock {
  /** Being rendered and ready. */
  readonly size: number;
  readonly ready: number;
  /** Its bytes (sizeOf) are taken. */
  render(held: Held): void;
  /** The next one that is ready; its bytes stay taken. */
  next(): Ready | undefined;
  /** Takes out what matches of what is ready. */
  remove(match: (held: Held) => boolean): Held[];
}

/** About what a rendered message takes: its content with attachments in base64 is most of it. */
export const sizeOf = (held: Held): number => held.part.delivery.content.json.byteLength + 4096;

export function openStock(deps: StockDeps): Stock {
  const ready: Ready[] = [];
  let rendering = 0;

  function take(held: Held, rendered: RenderResult): void {
    rendering--;
    if (!("from" in rendered)) {
      deps.freeBytes(sizeOf(held));
      deps.failed(held, "error" in rendered ? rendered.error : "");
    } else if (!deps.keep(held)) deps.freeBytes(sizeOf(held));
    else if (held.part.delivery.priority === 0) ready.unshift({ held, rendered });
    else ready.push({ held, rendered });
    deps.changed();
  }

  return {
    get size() {
      return rendering + ready.length;
    },
    get ready() {
      return ready.length;
    },
    render(held) {
      rendering++;
      void deps.render(held).then((rendered) => take(held, rendered));
    },
    next: () => ready.shift(),
    remove(match) {
      const taken = ready.filter(({ held }) => match(held)).map(({ held }) => held);
      if (taken.length === 0) return taken;
      ready.splice(0, ready.length, ...ready.filter(({ held }) => !match(held)));
      for (const held of taken) deps.freeBytes(sizeOf(held));
      return taken;
    },
  };
}
