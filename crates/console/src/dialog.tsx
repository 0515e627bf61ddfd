// Questions to the user, each in a modal dialog. Texts are text, never markup.
//
// Invariants: one question is in sight, and others wait behind it: a question never takes the place
// of another one under the user's hand. Who leaves the page, or is somebody else now, has answered
// none of them. The keyboard returns to where it was.

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

/** Questions that wait; a further one is answered by nobody. */
const MOST = 20;

/** The first one is in sight. */
const questions = signal<readonly Question[]>([]);
let last = 0;

function put(question: Omit<Question, "id" | "answer">): Promise<unknown> {
  if (questions.peek().length >= MOST) return Promise.resolve(null);
  last += 1;
  const id = last;
  return new Promise((resolve) => {
    const answer = (value: unknown): void => {
      questions.value = questions.peek().filter((other) => other.id !== id);
      resolve(value);
    };
    questions.value = [...questions.peek(), { ...question, id, answer }];
  });
}

/** Asks; `null`: the user gave no answer. */
export function ask<T>(title: string, text: string, choices: Choice<T>[]): Promise<T | null> {
  return put({ title, text, choices }) as Promise<T | null>;
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

export function Dialog() {
  const question = questions.value[0];
  return question ? <Asked key={question.id} question={question} /> : null;
}

function Asked({ question }: { question: Question }) {
  const element = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
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
              // Enter that ends a composed character is not an answer.
              if (event.key === "Enter" && !event.isComposing)
                question.answer(event.currentTarget.value);
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
