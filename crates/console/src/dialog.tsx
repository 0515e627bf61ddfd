// Questions to the user, each in a modal dialog. Texts are text, never markup.
//
// Invariants: one question is in sight, and others wait behind it: a question never takes the place
// of another one under the user's hand: the second click of a double click, and a key that is
// pressed twice or held, answer no question that came between. Who leaves the page, or is somebody
// else now, has answered none of them. The keyboard returns to where it was.

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "./strings.ts";

interface Choice<T> {
  label: string;
  value: T;
}

interface Question {
  id: number;
  title: string;
  text: string;
  choices: Choice<unknown>[];
  /** Asks for a line of text: the label of its field. */
  field?: string;
  answer(value: unknown): void;
}

/** A key that is pressed so soon after a question came is meant for what was there before. */
const TOO_SOON_MS = 400;
/** Questions that wait; a further one is answered by nobody. */
const MOST = 20;

/** The first one is in sight. */
const questions = signal<readonly Question[]>([]);
let last = 0;

function put(
  question: Omit<Question, "id" | "answer">,
  until?: AbortSignal,
): Promise<unknown> {
  if (until?.aborted || questions.peek().length >= MOST) return Promise.resolve(null);
  last += 1;
  const id = last;
  return new Promise((resolve) => {
    const answer = (value: unknown): void => {
      questions.value = questions.peek().filter((other) => other.id !== id);
      resolve(value);
    };
    until?.addEventListener("abort", () => answer(null), { once: true });
    questions.value = [...questions.peek(), { ...question, id, answer }];
  });
}

/** Asks; `null`: the user gave no answer. `until`: takes the question back. */
export function ask<T>(
  title: string,
  text: string,
  choices: Choice<T>[],
  until?: AbortSignal,
): Promise<T | null> {
  return put({ title, text, choices }, until) as Promise<T | null>;
}

/** Asks for a line of text; `null`: the user gave none. */
export async function askText(title: string, field: string, label: string): Promise<string | null> {
  const value = await put({ title, text: "", choices: [{ label, value: true }], field });
  return typeof value === "string" && value.trim() ? value.trim() : null;
}

/** Takes all questions back: the page that asked, or the user, is another one now. */
export function dismiss(): void {
  for (const question of questions.peek()) question.answer(null);
}

/** Enter that ends a composed character is none; Safari tells it by the code alone. */
export const isEnter = (event: KeyboardEvent): boolean =>
  event.key === "Enter" && !event.isComposing && event.keyCode !== 229;

export function Dialog() {
  const question = questions.value[0];
  return question ? <Asked key={question.id} question={question} /> : null;
}

function Asked({ question }: { question: Question }) {
  const element = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const came = useRef(0);
  const meant = (event: MouseEvent): boolean =>
    event.detail === 0 ? performance.now() - came.current > TOO_SOON_MS : event.detail === 1;
  const choose = (value: unknown): void => {
    if (!question.field) question.answer(value);
    else if (input.current?.value.trim()) question.answer(input.current.value);
    else input.current?.focus();
  };
  useLayoutEffect(() => {
    came.current = performance.now();
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
    // Closing gives the keyboard back to what had it; the removal alone does not.
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby="question"
      onCancel={() => question.answer(null)}
      onClose={() => question.answer(null)}
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.repeat) event.preventDefault();
      }}
    >
      <h2 id="question">{question.title}</h2>
      {question.text && <p class="wraps">{question.text}</p>}
      {question.field && (
        <label>
          {question.field}
          <input
            ref={input}
            maxLength={1000}
            onKeyDown={(event) => {
              if (isEnter(event) && !event.repeat) choose(true);
            }}
          />
        </label>
      )}
      <div class="buttons">
        {question.choices.map((choice) => (
          <button
            type="button"
            key={choice.label}
            onClick={(event) => meant(event) && choose(choice.value)}
          >
            {choice.label}
          </button>
        ))}
        <button type="button" onClick={(event) => meant(event) && question.answer(null)}>
          {t("cancel")}
        </button>
      </div>
    </dialog>
  );
}
