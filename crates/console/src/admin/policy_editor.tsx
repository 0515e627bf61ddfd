// A policy's text with the gateway's judgement at its place. The gateway alone checks.
//
// Invariants: what was typed and not saved stays in the page's memory when the sign-in ends or
// another page is shown, and goes with its user.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ApiError } from "../api.ts";
import { onLeave } from "../leaving.ts";
import { Refusal } from "../refusal.tsx";
import { t } from "../strings/admin.ts";
import { lineOf, placeIn } from "./policy_place.ts";

/** What a new policy begins with. */
export const NEW_POLICY = JSON.stringify(
  {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: ["ssm:DescribeInstanceInformation"], Resource: "*" }],
  },
  null,
  2,
);

/** A policy for people: indented, if it is JSON. */
export function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Texts that were not saved, by what they are of. */
const typed = new Map<string, string>();
onLeave(() => typed.clear());

/** The rest of the name of a text that was not saved, whose name begins so. */
export function unsaved(beginning: string): string | null {
  const name = [...typed.keys()].find((one) => one.startsWith(beginning));
  return name === undefined ? null : name.slice(beginning.length);
}

export function PolicyEditor(props: {
  label: string;
  /** What it is the text of, in this page. */
  of: string;
  text: string;
  /** Ends sessions that lose their right, if `ends`. */
  save: (text: string, ends: boolean) => Promise<void>;
  /** Whether rights may go by it. */
  mayRemove: boolean;
}) {
  const area = useRef<HTMLTextAreaElement>(null);
  const error = useSignal<unknown>(null);
  const said = useSignal("");
  const ends = useSignal(false);
  const isUnsaved = useSignal(typed.has(props.of));
  const discard = (): void => {
    typed.delete(props.of);
    isUnsaved.value = false;
    if (area.current) area.current.value = props.text;
  };
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const text = area.current?.value ?? "";
    error.value = null;
    said.value = "";
    try {
      await props.save(text, ends.value);
      if (typed.get(props.of) === text) typed.delete(props.of);
      isUnsaved.value = false;
      said.value = t("polSaved");
    } catch (caught) {
      error.value = caught;
      show(area.current, caught);
    }
  };
  const text = area.current?.value ?? props.text;
  const place = error.value instanceof ApiError ? placeIn(text, error.value.message) : null;
  return (
    <form onSubmit={(event) => void save(event)}>
      <label>
        {props.label}
        <textarea
          ref={area}
          class="policy"
          rows={14}
          spellcheck={false}
          aria-invalid={error.value !== null}
          defaultValue={typed.get(props.of) ?? props.text}
          onInput={(event) => typed.set(props.of, event.currentTarget.value)}
        />
      </label>
      {isUnsaved.value && (
        <p class="hint">
          {t("polUnsaved")}{" "}
          <button type="button" onClick={discard}>
            {t("polDiscard")}
          </button>
        </p>
      )}
      {error.value !== null && <Refusal error={error.value} />}
      {place !== null && <p class="hint">{t("polAt", lineOf(text, place))}</p>}
      <p role="status">{said.value}</p>
      {props.mayRemove && (
        <label class="check">
          <input
            type="checkbox"
            checked={ends.value}
            onChange={(event) => {
              ends.value = event.currentTarget.checked;
            }}
          />
          {t("polEnds")}
        </label>
      )}
      <button type="submit">{t("polSave")}</button>
    </form>
  );
}

/** Puts the cursor to the place that the checker names. */
function show(area: HTMLTextAreaElement | null, error: unknown): void {
  if (!area || !(error instanceof ApiError)) return;
  const place = placeIn(area.value, error.message);
  if (place === null) return;
  area.focus();
  area.setSelectionRange(place, place + 1);
}
