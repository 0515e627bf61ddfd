// What the gateway refused: which action on which resource and why, and the way to ask for access.
//
// Use, with whatever was caught: `{error && <Refusal error={error} />}`. An error that is no
// refusal is shown in its words.

import { useSignal } from "@preact/signals";
import { ApiError, proveNow, wantsFactor, words } from "./api.ts";
import { addressOf } from "./pages.ts";
import { t } from "./strings.ts";

export interface Refused {
  action: string;
  resource: string;
  why: string;
  /** The device, if the resource is one. */
  device: string | null;
}

const DENIED = /is not authorized to perform: (\S+) on resource: (\S+) (.*)$/s;
const DEVICE = /(?:^|\/)(mi-[0-9a-f]{17})$/;

/** Reads a refusal by policy; `null` for every other error. */
export function refusedOf(error: unknown): Refused | null {
  if (!(error instanceof ApiError) || error.code !== "AccessDeniedException") return null;
  const [, action, resource, why] = error.message.match(DENIED) ?? [];
  if (!action || !resource || !why) return null;
  return { action, resource, why, device: resource.match(DEVICE)?.[1] ?? null };
}

export function Refusal({ error }: { error: unknown }) {
  const refused = refusedOf(error);
  if (!refused) {
    return (
      <p role="alert" class="trouble">
        {words(error)}
      </p>
    );
  }
  return (
    <div role="alert" class="refusal">
      <p class="trouble">{t("refused")}</p>
      <dl>
        <dt>{t("refusedAction")}</dt>
        <dd>{refused.action}</dd>
        <dt>{t("refusedOn")}</dt>
        <dd>{refused.resource}</dd>
        <dt>{t("refusedWhy")}</dt>
        <dd>{refused.why}</dd>
      </dl>
      {wantsFactor(error) && <Prove />}
      {refused.device && (
        <a class="button" href={addressOf("access", [], { device: refused.device })}>
          {t("accessAsk")}
        </a>
      )}
    </div>
  );
}

/** A way out where a second factor helps: what the page asked by itself brought no question. */
function Prove() {
  const trouble = useSignal<unknown>(null);
  const prove = async (): Promise<void> => {
    try {
      if (await proveNow()) location.reload();
    } catch (caught) {
      trouble.value = caught;
    }
  };
  return (
    <p>
      <button type="button" onClick={() => void prove()}>
        {t("factorProve")}
      </button>{" "}
      {trouble.value !== null && <span class="trouble">{words(trouble.value)}</span>}
    </p>
  );
}
