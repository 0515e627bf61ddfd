// xterm as this console uses it: themes, the paste guard, links that ask first, and the way from and
// to storage.
//
// Invariants: output steers nothing but the screen: titles and the clipboard are not touched, a link
// is opened after a question and only if it is http or https.

import { FitAddon } from "@xterm/addon-fit";
import { SerializeAddon } from "@xterm/addon-serialize";
import { Terminal } from "@xterm/xterm";
import { EscapeTail } from "./escape_tail.ts";
import type { Size } from "./messages.ts";
import { MOST_SCREEN, type Saved } from "./saved.ts";

const DARK = { background: "#101418", foreground: "#e6e9ec", cursor: "#e6e9ec", selectionBackground: "#3b556e" };
const LIGHT = {
  background: "#ffffff",
  foreground: "#1b1f23",
  cursor: "#1b1f23",
  selectionBackground: "#b6d4f5",
  white: "#6a6f75",
  brightWhite: "#50555b",
  yellow: "#8a6100",
  brightYellow: "#7a5600",
  green: "#0a7a2f",
  brightGreen: "#096a29",
  cyan: "#05707a",
  brightCyan: "#05606a",
};

/**
 * The page's policy forbids styles from elsewhere. The style elements that xterm makes get the
 * page's nonce, and the style attributes that it sets go by the style object, which is allowed.
 */
function makeStylesAllowed(): void {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="towline-nonce"]')?.content;
  if (!nonce) return;
  const create = document.createElement.bind(document) as (name: string) => HTMLElement;
  const marked = (name: string): HTMLElement => {
    const made = create(name);
    if (name.toLowerCase() === "style") made.nonce = nonce;
    return made;
  };
  document.createElement = marked as typeof document.createElement;
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (this: Element, name: string, value: string): void {
    if (name === "style" && this instanceof HTMLElement) this.style.cssText = value;
    else set.call(this, name, value);
  };
}
makeStylesAllowed();

export interface Handlers {
  typed(bytes: Uint8Array): void;
  resized(): void;
  /** Asks whether to paste so many lines. */
  mayPaste(lines: number): Promise<boolean>;
  /** Asks whether to open a link. */
  mayOpen(link: string): Promise<boolean>;
}

export class TerminalView {
  private readonly term: Terminal;
  private readonly fit = new FitAddon();
  private readonly serializer = new SerializeAddon();
  private readonly tail = new EscapeTail();
  private readonly abort = new AbortController();
  private readonly observer: ResizeObserver;

  constructor(
    private readonly element: HTMLElement,
    private readonly handlers: Handlers,
    restored: Saved | null,
  ) {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.term = new Terminal({
      allowProposedApi: true,
      cursorBlink: true,
      scrollback: 5000,
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 14,
      minimumContrastRatio: 4.5,
      theme: dark.matches ? DARK : LIGHT,
      linkHandler: { activate: (_event, link) => void this.openLink(link) },
      ...(restored ? { rows: restored.rows, cols: restored.cols } : {}),
    });
    this.term.loadAddon(this.fit);
    this.term.loadAddon(this.serializer);
    this.term.open(element);
    if (restored) {
      this.term.write(restored.screen);
      this.show(Uint8Array.from(restored.tail), () => undefined);
    }
    this.fit.fit();
    const options = { signal: this.abort.signal };
    dark.addEventListener(
      "change",
      () => {
        this.term.options.theme = dark.matches ? DARK : LIGHT;
      },
      options,
    );
    this.observer = new ResizeObserver(() => this.fit.fit());
    this.observer.observe(element);
    const encoder = new TextEncoder();
    this.term.onData((text) => handlers.typed(encoder.encode(text)));
    this.term.onBinary((text) => handlers.typed(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    this.term.onResize(() => handlers.resized());
    this.term.attachCustomKeyEventHandler((event) => this.onKey(event));
    const onPaste = (event: ClipboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      void this.paste(event.clipboardData?.getData("text/plain") ?? "");
    };
    element.addEventListener("paste", onPaste, { ...options, capture: true });
    this.term.focus();
  }

  size(): Size {
    return { rows: this.term.rows, cols: this.term.cols };
  }

  /** Shows bytes of the device. */
  show(bytes: Uint8Array, done: () => void): void {
    this.term.write(bytes, () => {
      this.tail.read(bytes);
      done();
    });
  }

  /** A fresh screen: output is missing, and what is shown may not fit what follows. */
  reset(): void {
    this.term.reset();
    this.tail.reset();
  }

  focus(): void {
    this.term.focus();
  }

  /** The screen as it is now, for the next page in this tab. */
  saved(): Pick<Saved, "screen" | "tail" | "rows" | "cols"> {
    let screen = this.serializer.serialize();
    if (screen.length > MOST_SCREEN) screen = this.serializer.serialize({ scrollback: 0 });
    return { screen, tail: Array.from(this.tail.bytes()), ...this.size() };
  }

  close(): void {
    this.abort.abort();
    this.observer.disconnect();
    this.term.dispose();
  }

  private onKey(event: KeyboardEvent): boolean {
    const copies = event.ctrlKey && event.shiftKey && event.code === "KeyC";
    if (!copies) return !(event.ctrlKey && event.shiftKey && event.code === "KeyV");
    if (event.type === "keydown") {
      event.preventDefault();
      const text = this.term.getSelection();
      // Without the right to the clipboard the selection stays, for the browser's own menu.
      if (text) navigator.clipboard?.writeText(text).catch(() => undefined);
    }
    return false;
  }

  private async paste(text: string): Promise<void> {
    const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n").length;
    const asks = lines > 1 || text.endsWith("\n");
    if (text && (!asks || (await this.handlers.mayPaste(lines)))) this.term.paste(text);
    this.term.focus();
  }

  private async openLink(link: string): Promise<void> {
    let url: URL;
    try {
      url = new URL(link);
    } catch {
      return;
    }
    if (url.protocol !== "https:" && url.protocol !== "http:") return;
    if (await this.handlers.mayOpen(url.href)) window.open(url.href, "_blank", "noopener,noreferrer");
    this.element.focus();
  }
}
