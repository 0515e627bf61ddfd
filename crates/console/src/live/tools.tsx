// The tools of a terminal: search, keys and signals, size of the font, theme, screen reader.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { isEnter } from "../dialog.tsx";
import { t } from "../strings/terminal.ts";
import type { TerminalView } from "../terminal_view.ts";
import { ARROWS, KEYS } from "./keys.ts";
import { THEMES, prefer, preferences } from "./preferences.ts";

interface Props {
  view: () => TerminalView | null;
  /** Changes when the user wants to search. */
  searched: number;
}

export function Tools({ view, searched }: Props) {
  const { font, theme, reader } = preferences.value;
  return (
    <div class="terminal-tools" role="group" aria-label={t("terminalTools")}>
      <Search view={view} searched={searched} />
      <span class="keys" role="group" aria-label={t("terminalKeys")}>
        {KEYS.map(([name, bytes]) => (
          <button type="button" key={name} onClick={() => view()?.press(bytes)}>
            {name}
          </button>
        ))}
        {ARROWS.map(([shown, final, label]) => (
          <button
            type="button"
            key={final}
            aria-label={t(label)}
            onClick={() => view()?.pressArrow(final)}
          >
            {shown}
          </button>
        ))}
      </span>
      <button
        type="button"
        aria-label={t("fontSmaller")}
        onClick={() => prefer({ font: font - 1 })}
      >
        A−
      </button>
      <button type="button" aria-label={t("fontLarger")} onClick={() => prefer({ font: font + 1 })}>
        A+
      </button>
      <label>
        {t("theme")}{" "}
        <select
          value={theme}
          onChange={(event) => {
            const chosen = THEMES.find((name) => name === event.currentTarget.value);
            if (chosen) prefer({ theme: chosen });
          }}
        >
          {THEMES.map((name) => (
            <option key={name} value={name}>
              {t(`theme_${name}`)}
            </option>
          ))}
        </select>
      </label>
      <label>
        <input
          type="checkbox"
          checked={reader}
          onChange={(event) => prefer({ reader: event.currentTarget.checked })}
        />{" "}
        {t("screenReader")}
      </label>
    </div>
  );
}

function Search({ view, searched }: Props) {
  const text = useSignal("");
  const missing = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), [searched]);
  const find = async (back: boolean): Promise<void> => {
    const wanted = text.value;
    const found =
      wanted === "" ||
      ((await view()
        ?.find(wanted, back)
        .catch(() => true)) ??
        true);
    if (text.value === wanted) missing.value = !found;
  };
  return (
    <span class="find" role="search">
      <input
        ref={input}
        type="search"
        aria-label={t("findInTerminal")}
        placeholder={t("findInTerminal")}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          void find(true);
        }}
        onKeyDown={(event) => {
          if (isEnter(event)) void find(!event.shiftKey);
          if (event.key === "Escape") view()?.focus();
        }}
      />
      <span role="status">{missing.value ? t("notFoundInTerminal") : ""}</span>
    </span>
  );
}
