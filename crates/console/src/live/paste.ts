// What a pasted text may do to a shell. It comes from anywhere: a page may put more into the
// clipboard than it shows.

/** What a shell or a program obeys at once; a tab is text. */
const OBEYED = /[\x00-\x08\x0a-\x1f\x7f]/;

/** How many lines to ask about before they are pasted; 0: a part of a line, and nothing else. */
export function linesToAsk(text: string): number {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n").length;
  return OBEYED.test(text) ? lines : 0;
}

/** The text with marks for escapes: one would end what the shell takes for pasted. */
export function withoutEscapes(text: string): string {
  return text.replace(/[\x1b\x9b]/g, "\u241b");
}
