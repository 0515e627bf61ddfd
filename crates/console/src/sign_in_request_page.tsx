// A program without a browser asks to sign in: `#/sign-in-request`. The person enters the code that
// the program shows, sees where the request came from, and decides.
//
// Invariants: the address holds no code. Nothing is decided before the request was shown.

import { useSignal } from "@preact/signals";
import { ApiError, call, identity, words } from "./api.ts";
import { t } from "./strings/sign_in.ts";

interface Asked {
  SourceIpAddress: string;
  OwnIpAddress: string;
  Client: string;
  Role?: string;
  AgeSeconds: number;
}

export function SignInRequestPage() {
  const code = useSignal("");
  const asked = useSignal<Asked | null>(null);
  const trouble = useSignal("");
  const done = useSignal("");
  const busy = useSignal(false);

  const attempt = async (act: () => Promise<void>): Promise<void> => {
    busy.value = true;
    trouble.value = "";
    try {
      await act();
    } catch (error) {
      trouble.value = words(error);
      // A refusal ends the request: another code is needed.
      if (error instanceof ApiError) asked.value = null;
    } finally {
      busy.value = false;
    }
  };
  const look = (): Promise<void> =>
    attempt(async () => {
      asked.value = await call<Asked>("Towline.GetSignInRequest", { UserCode: code.value });
    });
  const decide = (decision: "Approve" | "Reject"): Promise<void> =>
    attempt(async () => {
      const body = { UserCode: code.value, Decision: decision };
      await call("Towline.DecideSignInRequest", body);
      done.value = t(decision === "Approve" ? "programApproved" : "programRejected");
    });

  if (done.value) {
    return (
      <main class="sign-in">
        <h1>{t("programTitle")}</h1>
        <p role="status">{done.value}</p>
      </main>
    );
  }
  return (
    <main class="sign-in">
      <h1>{t("programTitle")}</h1>
      <p class="warning">{t("programWarning")}</p>
      {asked.value ? (
        <Request asked={asked.value} busy={busy.value} decide={(what) => void decide(what)} />
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void look();
          }}
        >
          <label>
            {t("programCode")}
            <input
              name="code"
              autocomplete="off"
              spellcheck={false}
              maxLength={16}
              required
              autofocus
              value={code.value}
              onInput={(event) => (code.value = event.currentTarget.value)}
            />
          </label>
          <button type="submit" disabled={busy.value}>
            {t("programLook")}
          </button>
        </form>
      )}
      <p role="alert" class="trouble">
        {trouble.value}
      </p>
    </main>
  );
}

interface RequestProps {
  asked: Asked;
  busy: boolean;
  decide: (decision: "Approve" | "Reject") => void;
}

function Request({ asked, busy, decide }: RequestProps) {
  const elsewhere = asked.SourceIpAddress !== asked.OwnIpAddress;
  return (
    <>
      <dl>
        <dt>{t("programFrom")}</dt>
        <dd class="source">{asked.SourceIpAddress}</dd>
        <dt>{t("programCalls")}</dt>
        <dd>{asked.Client || "-"}</dd>
        <dt>{t("programAge")}</dt>
        <dd>{t("programAgo", { seconds: asked.AgeSeconds })}</dd>
        <dt>{t("programGets")}</dt>
        <dd>{identity.value?.arn ?? ""}</dd>
      </dl>
      {elsewhere && <p class="warning">{t("programElsewhere", { address: asked.OwnIpAddress })}</p>}
      <p class="buttons">
        <button type="button" disabled={busy} onClick={() => decide("Approve")}>
          {t("programApprove")}
        </button>{" "}
        <button type="button" disabled={busy} onClick={() => decide("Reject")}>
          {t("programReject")}
        </button>
      </p>
    </>
  );
}
