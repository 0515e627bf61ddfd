// Parts that the pages of devices, commands and files share: sections, tables, times, remarks.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { language, t } from "../strings.ts";
import type { Answer } from "./answers.ts";

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

/** A table with headers. Wide ones scroll in a frame of their own, which the keyboard reaches. */
export function Table(props: {
  label: string;
  heads: string[];
  rows: ComponentChildren[][];
  /** Names each row, in the order of the rows. */
  keys: string[];
}) {
  return (
    <div class="wide" role="region" aria-label={props.label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {props.heads.map((head, at) => (
              <th scope="col" key={at}>
                {head || <span class="unseen">{t("rowActions")}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((cells, row) => (
            <tr key={props.keys[row]} data-key={props.keys[row]}>
              {cells.map((cell, at) => (
                <td key={at}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What an answer has to say besides its value: that it is awaited, or why it is missing. */
export function Remark({ answer }: { answer: Answer<unknown> }) {
  if (answer.trouble.value) {
    return (
      <p class="trouble" role="status">
        {answer.trouble.value}{" "}
        <button type="button" onClick={() => answer.again()}>
          {t("askAgain")}
        </button>
      </p>
    );
  }
  return answer.value.value === null ? <p class="hint">{t("loading")}</p> : null;
}

/** Date and time, of seconds. */
export function dateOf(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  return new Date(seconds * 1000).toLocaleString(language.value === 1 ? "ko" : "en-GB");
}

/** Bytes for people. */
export function bytesOf(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A line to type elsewhere, with a button that copies it. */
export function Line({ text, label }: { text: string; label: string }) {
  return (
    <div class="line">
      <code aria-label={label}>{text}</code>
      <button
        type="button"
        aria-label={t("copyThis", { what: label })}
        onClick={() => void navigator.clipboard?.writeText(text).catch(() => undefined)}
      >
        {t("copyLine")}
      </button>
    </div>
  );
}
