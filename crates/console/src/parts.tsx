// Parts that pages share: sections, tables, what an answer has to say besides its value, lines to
// type elsewhere, files for the user.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Answer } from "./answers.ts";
import { Refusal } from "./refusal.tsx";
import { dateOf, t } from "./strings.ts";

/** A part of a page under a heading. */
export function Section({ title, children }: { title: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="part" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

/** A table with headers. A wide one scrolls in a frame of its own, which the keyboard reaches. */
export function TableFrame(props: {
  label: string;
  /** Without a text: what can be done with the row. */
  heads: string[];
  children: ComponentChildren;
}) {
  return (
    <div class="wide" role="region" aria-label={props.label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {props.heads.map((head, at) => (
              <th scope="col" key={at}>
                {head || <span class="unseen">{t("actions")}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}

/** A table whose rows are plain cells. */
export function Table(props: {
  label: string;
  heads: string[];
  rows: ComponentChildren[][];
  /** Names each row, in the order of the rows. */
  keys: string[];
}) {
  return (
    <TableFrame label={props.label} heads={props.heads}>
      {props.rows.map((cells, row) => (
        <tr key={props.keys[row]} data-key={props.keys[row]}>
          {cells.map((cell, at) => (
            <td key={at}>{cell}</td>
          ))}
        </tr>
      ))}
    </TableFrame>
  );
}

/**
 * What an answer has to say besides its value: that it is awaited, or why there is no newer one.
 */
export function Remark({ answer }: { answer: Answer<unknown> }) {
  const { value, error, at } = answer;
  if (error.value !== null) {
    return (
      <div class="remark">
        {value.value !== null && <p>{t("stale", { time: dateOf(at.value / 1000) })}</p>}
        <Refusal error={error.value} />
        <button type="button" onClick={() => answer.again()}>
          {t("askAgain")}
        </button>
      </div>
    );
  }
  return value.value === null ? <p class="hint">{t("loading")}</p> : null;
}

/** Bytes for people. */
export function bytesOf(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 999.95 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A line to type elsewhere, with a button that copies it; without the right to, it selects it. */
export function Line({ text, label }: { text: string; label: string }) {
  const line = useRef<HTMLElement>(null);
  const said = useSignal("");
  useEffect(() => {
    said.value = "";
  }, [text]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = t("copied");
    } catch {
      if (line.current) getSelection()?.selectAllChildren(line.current);
      said.value = t("copyByHand");
    }
  };
  return (
    <div class="line">
      <code aria-label={label} ref={line}>
        {text}
      </code>
      <button
        type="button"
        aria-label={t("copyThis", { what: label })}
        onClick={() => void copy()}
      >
        {t("copyLine")}
      </button>
      <span role="status">{said.value}</span>
    </div>
  );
}

/** Has the browser save a text as a file. */
export function saveFile(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
