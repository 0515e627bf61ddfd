// xterm as this console uses it: themes, the paste guard, links that ask first, and the way from
// and to storage.
//
// Invariants: output steers nothing but the screen: titles and the clipboard are not touched, a
// link is opened after a question and only if it is http or https.

import { FitAddon } from "@xterm/addon-fit";
import type { SearchAddon } from "@xterm/addon-search";
import { SerializeAddon } from "@xterm/addon-serialize";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { type ITheme, Terminal } from "@xterm/xterm";
import { EscapeTail } from "./escape_tail.ts";
import { arrow } from "./live/keys.ts";
import { linesToAsk, withoutEscapes } from "./live/paste.ts";
import { prefer, preferences } from "./live/preferences.ts";
import type { Size } from "./messages.ts";
import type { Saved } from "./saved.ts";

// Other pages get xterm from here: one script holds it together with its addons, which packs
// better.
export { Terminal };

export const FONT_FAMILY = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
export const DARK = {
  background: "#101418",
  foreground: "#e6e9ec",
  cursor: "#e6e9ec",
  selectionBackground: "#3b556e",
};
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

const CONTRAST = {
  background: "#000000",
  foreground: "#ffffff",
  cursor: "#ffff00",
  selectionBackground: "#0037da",
};

/** The colours that are chosen now, and the least contrast between text and its background. */
function colours(dark: boolean): { theme: ITheme; minimumContrastRatio: number } {
  const { theme } = preferences.peek();
  if (theme === "contrast") return { theme: CONTRAST, minimumContrastRatio: 7 };
  const isDark = theme === "auto" ? dark : theme === "dark";
  return { theme: isDark ? DARK : LIGHT, minimumContrastRatio: 4.5 };
}

/**
 * The page's policy forbids styles from elsewhere. The style elements that xterm makes get the
 * page's nonce, and the style attributes that it sets go by the style object, which is allowed.
 */
function makeStylesAllowed(): void {
  if (typeof document === "undefined") return; // a test without a page
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

/** For a terminal that takes no input: Tab moves the keyboard on, as everywhere else. */
export const leavesTab = (event: KeyboardEvent): boolean => event.key !== "Tab";

/** The largest screen of another client that is shown. */
const MOST_COLS = 500;
const MOST_ROWS = 200;

/** What a terminal says by itself: where its cursor is, what it is, its colours and modes. */
const ANSWER = /^\x1b(?:\[[?>=]?[\d;]*(?:\$y|[cnRtx])|[P\]])/;

export interface Handlers {
  typed(bytes: Uint8Array): void;
  resized(): void;
  /** The user wants to search. */
  searches(): void;
  /** Asks whether to paste so many lines. */
  mayPaste(lines: number): Promise<boolean>;
  /** Tab is a key of the program; else it moves the keyboard on. */
  takesTab(): boolean;
  /** Asks whether to open a link. */
  mayOpen(link: string): Promise<boolean>;
}

export class TerminalView {
  private readonly term: Terminal;
  private readonly fit = new FitAddon();
  private readonly serializer = new SerializeAddon();
  /** Its script is loaded with the first search. */
  private search: Promise<SearchAddon> | null = null;
  private readonly tail = new EscapeTail();
  private readonly abort = new AbortController();
  private readonly observer: ResizeObserver;
  /** The size that the screen of another client has; else the size is the page's. */
  private foreign: Size | null = null;
  /** What is read now was printed for another client. */
  private isOld = false;

  constructor(
    element: HTMLElement,
    private readonly handlers: Handlers,
    restored: Saved | null,
  ) {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.term = new Terminal({
      allowProposedApi: true,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      scrollback: 5000,
      fontFamily: FONT_FAMILY,
      fontSize: preferences.peek().font,
      screenReaderMode: preferences.peek().reader,
      ...colours(dark.matches),
      linkHandler: { activate: (_event, link) => void this.openLink(link) },
      ...(restored ? { rows: restored.rows, cols: restored.cols } : {}),
    });
    this.term.loadAddon(this.fit);
    this.term.loadAddon(this.serializer);
    this.term.loadAddon(new UnicodeGraphemesAddon());
    this.term.open(element);
    if (restored) {
      this.term.write(restored.screen);
      this.show(Uint8Array.from(restored.tail), () => undefined);
    }
    this.fit.fit();
    const options = { signal: this.abort.signal };
    const prepare = (): void => {
      const { font, reader } = preferences.peek();
      Object.assign(this.term.options, colours(dark.matches));
      this.term.options.fontSize = font;
      this.term.options.screenReaderMode = reader;
      this.fitIt();
    };
    dark.addEventListener("change", prepare, options);
    this.abort.signal.addEventListener("abort", preferences.subscribe(prepare));
    this.observer = new ResizeObserver(() => this.fitIt());
    this.observer.observe(element);
    const encoder = new TextEncoder();
    this.term.onData((text) => {
      if (!this.isOld || !ANSWER.test(text)) handlers.typed(encoder.encode(text));
    });
    this.term.onBinary((text) => handlers.typed(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    this.term.onResize(() => handlers.resized());
    this.term.attachCustomKeyEventHandler((event) => this.onKey(event));
    const onPaste = (event: ClipboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      void this.paste(event.clipboardData?.getData("text/plain") ?? "");
    };
    element.addEventListener("paste", onPaste, { ...options, capture: true });
  }

  /** Shows the screen of another client, in its size; `null`: this page's own again. */
  showAs(size: Size | null): void {
    this.foreign = size;
    if (size) this.term.resize(Math.min(size.cols, MOST_COLS), Math.min(size.rows, MOST_ROWS));
    else this.fit.fit();
  }

  private fitIt(): void {
    if (!this.foreign) this.fit.fit();
  }

  size(): Size {
    return { rows: this.term.rows, cols: this.term.cols };
  }

  /** Shows bytes of the device. `old`: what they ask the terminal for is not answered again. */
  show(bytes: Uint8Array, done: () => void, old = false): void {
    if (old) this.term.write("", () => (this.isOld = true));
    this.term.write(bytes, () => {
      this.isOld = false;
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

  /** Sends a key that is pressed by a button. */
  press(bytes: string): void {
    this.term.input(bytes);
    this.term.focus();
  }

  pressArrow(final: string): void {
    this.press(arrow(final, this.term.modes.applicationCursorKeysMode));
  }

  /** Selects the next place of a text, or the one before. False: the text is not there. */
  async find(text: string, back: boolean): Promise<boolean> {
    this.search ??= import("@xterm/addon-search").then(({ SearchAddon }) => {
      const search = new SearchAddon();
      this.term.loadAddon(search);
      return search;
    });
    const search = await this.search;
    const options = { incremental: false, caseSensitive: false };
    return back ? search.findPrevious(text, options) : search.findNext(text, options);
  }

  /**
   * The screen as it is now, for the next page in this tab; of more than `most` characters its end.
   */
  saved(most: number): Pick<Saved, "screen" | "tail" | "rows" | "cols"> {
    let screen = this.serializer.serialize();
    if (screen.length > most) screen = this.serializer.serialize({ scrollback: 0 });
    return { screen, tail: Array.from(this.tail.bytes()), ...this.size() };
  }

  close(): void {
    this.abort.abort();
    this.observer.disconnect();
    this.term.dispose();
  }

  /** With Ctrl and Shift. */
  private readonly shortcuts: Readonly<Record<string, () => void>> = {
    KeyF: () => this.handlers.searches(),
    Equal: () => prefer({ font: preferences.peek().font + 1 }),
    Minus: () => prefer({ font: preferences.peek().font - 1 }),
  };

  private onKey(event: KeyboardEvent): boolean {
    if (event.key === "Tab" && !this.handlers.takesTab()) return false;
    if (event.ctrlKey && event.shiftKey && event.code in this.shortcuts) {
      if (event.type === "keydown") {
        event.preventDefault();
        this.shortcuts[event.code]?.();
      }
      return false;
    }
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
    const lines = linesToAsk(text);
    if (text && (lines === 0 || (await this.handlers.mayPaste(lines))))
      this.term.paste(withoutEscapes(text));
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
    if (await this.handlers.mayOpen(url.href))
      window.open(url.href, "_blank", "noopener,noreferrer");
    this.term.focus();
  }
}
