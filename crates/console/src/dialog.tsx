// Questions to the user, each in a modal dialog. Texts are text, never markup.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "./strings.ts";

interface Choice<T> {
  label: string;
  value: T;
}

interface Question {
  title: string;
  text: string;
  choices: Choice<unknown>[];
  /** Asks for a line of text: the label of its field. */
  field?: string;
  answer(value: unknown): void;
}

const open = signal<Question | null>(null);

/** Asks; `null`: the user gave no answer. */
export function ask<T>(title: string, text: string, choices: Choice<T>[]): Promise<T | null> {
  open.value?.answer(null);
  return new Promise((resolve) => {
    const answer = (value: unknown): void => {
      open.value = null;
      resolve(value as T | null);
    };
    open.value = { title, text, choices, answer };
  });
}

/** Asks for a line of text; `null`: the user gave none. */
export async function askText(title: string, field: string, label: string): Promise<string | null> {
  open.value?.answer(null);
  return new Promise((resolve) => {
    const answer = (value: unknown): void => {
      open.value = null;
      resolve(typeof value === "string" && value.trim() ? value.trim() : null);
    };
    open.value = { title, text: "", choices: [{ label, value: true }], answer, field };
  });
}

export function Dialog() {
  const question = open.value;
  const element = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (question && !element.current?.open) element.current?.showModal();
  }, [question]);
  if (!question) return null;
  return (
    <dialog ref={element} aria-labelledby="question" onCancel={() => question.answer(null)}>
      <h2 id="question">{question.title}</h2>
      {question.text && <p class="wraps">{question.text}</p>}
      {question.field && (
        <label>
          {question.field}
          <input
            ref={input}
            maxLength={1000}
            onKeyDown={(event) => {
              if (event.key === "Enter") question.answer(event.currentTarget.value);
            }}
          />
        </label>
      )}
      <div class="buttons">
        {question.choices.map((choice) => (
          <button
            type="button"
            key={choice.label}
            onClick={() => question.answer(question.field ? input.current?.value : choice.value)}
          >
            {choice.label}
          </button>
        ))}
        <button type="button" onClick={() => question.answer(null)}>
          {t("cancel")}
        </button>
      </div>
    </dialog>
  );
}
