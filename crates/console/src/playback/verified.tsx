// The check of `towline verify`, made by the gateway: of each part of a recording, one after the
// other, told as one.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { call, words } from "../api.ts";
import { t } from "../strings/playback.ts";
import type { Source } from "./source.ts";

export interface Verification {
  State: string;
  Checked: number;
  Size: number;
  Lines?: number;
  Gaps?: number;
  Fault?: string;
}

/** How long the page waits before it asks for the outcome again, milliseconds. */
const ASKS_AGAIN_MS = 500;

interface Shown {
  parts: Source["parts"];
  silent: readonly string[];
}

export function Verified({ parts, silent }: Shown) {
  const said = useSignal("");
  const isFaulty = useSignal(false);
  const isBusy = useSignal(false);
  const turn = useRef(0);
  useEffect(() => () => void (turn.current += 1), []);
  const verify = async (): Promise<void> => {
    turn.current += 1;
    const own = turn.current;
    [isBusy.value, isFaulty.value] = [true, false];
    try {
      const told: Told[] = [];
      for (const [n, { name, isHere }] of parts.entries()) {
        const looks = (so: Verification): void => {
          said.value = progressOf(so, n, parts.length);
        };
        const found = isHere ? await outcome(name, looks, () => own !== turn.current) : null;
        if (own !== turn.current) return;
        told.push(found);
      }
      said.value = verdictOf(told, silent);
      isFaulty.value = silent.length > 0 || told.some((one) => one === null || isFault(one));
    } catch (error) {
      if (own === turn.current) said.value = words(error);
    }
    if (own === turn.current) isBusy.value = false;
  };
  return (
    <>
      <button type="button" disabled={isBusy.value} onClick={() => void verify()}>
        {t("verify")}
      </button>
      <span role="status" class={isFaulty.value ? "trouble" : ""}>
        {said.value}
      </span>
    </>
  );
}

/** What is known of a part; `null`: it is not here. */
type Told = Verification | null;

const isFault = ({ State }: Verification): boolean => State !== "Whole" && State !== "SoFar";

/** Asks until the gateway has checked a part; `null` when the page is left. */
async function outcome(
  name: string,
  looks: (so: Verification) => void,
  over: () => boolean,
): Promise<Told> {
  while (!over()) {
    const told = await call<Verification>("Towline.VerifyRecording", { SessionId: name });
    if (told.State !== "Verifying") return told;
    if (!over()) looks(told);
    await new Promise((resolve) => setTimeout(resolve, ASKS_AGAIN_MS));
  }
  return null;
}

function progressOf(told: Verification, part: number, parts: number): string {
  const share = told.Checked / Math.max(1, told.Size);
  return t("verifying", { percent: Math.floor((100 * (part + share)) / Math.max(1, parts)) });
}

/** What the checks of all parts say together: a fault of one is one of the recording. */
export function verdictOf(told: readonly Told[], silent: readonly string[] = []): string {
  const here = told.flatMap((one, n) => (one ? [{ one, part: n + 1 }] : []));
  const faulty = here.find(({ one }) => isFault(one));
  if (faulty) {
    const fault = faulty.one.Fault ?? faulty.one.State;
    if (told.length === 1) return t("verifiedFaulty", { fault });
    return t("verifiedFaultyPart", { fault, n: faulty.part });
  }
  const sum = (of: (one: Verification) => number | undefined) =>
    here.reduce((all, { one }) => all + (of(one) ?? 0), 0);
  const counts = { lines: sum((one) => one.Lines), gaps: sum((one) => one.Gaps) };
  const goesOn = here.some(({ one }) => one.State === "SoFar");
  const said = [t(goesOn ? "verifiedSoFar" : "verifiedWhole", counts)];
  if (here.length < told.length) {
    said.unshift(t("verifiedNotAll", { here: here.length, all: told.length }));
  } else if (told.length > 1) {
    said.push(t("verifiedParts", { n: told.length }));
  }
  if (silent.length > 0) {
    said.unshift(t("partMaybeMissing", { names: silent.join(", ") }), t("verifiedNotThat"));
  }
  return said.join(" ");
}
