// Access requests: ask for access to a device, see where requests stand, decide about those of
// others.
//
// Invariants: nothing here judges. Every button is an operation that the gateway allows or refuses.
// An address with `request` marks that request and decides nothing.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, gatewayNow } from "../api.ts";
import { isTold, onChange } from "../events.ts";
import type { PageProps } from "../pages.ts";
import { TableFrame } from "../parts.tsx";
import { Refusal } from "../refusal.tsx";
import { t } from "../strings/admin.ts";

interface Request {
  AccessRequestId: string;
  Requester: string;
  Reason: string;
  Targets: { Key: string; Values: string[] }[];
  Status: "Pending" | "Approved" | "Rejected" | "Revoked" | "Expired";
  ExpiresDate: number;
  DecidedBy?: string;
  Kind?: "Manual" | "Auto" | "BreakGlass";
  Policy?: string;
  Levels?: Level[];
}

/** Approvals that one level needs, and those that are there. */
interface Level {
  Approvers: string[];
  MinRequiredApprovals: number;
  ApprovedBy: string[];
}

type Decision = "Approve" | "Reject" | "Extend" | "Revoke";
const WORDS = { Approve: "approve", Reject: "reject", Extend: "extend", Revoke: "revoke" } as const;
const EVERY_MS = 5000;
/** The same while the gateway tells of changes. */
const TOLD_MS = 60_000;
/** Requests that the page shows: the newest. */
const MOST = 100;

export function AccessPage({ place }: PageProps) {
  const requests = useSignal<Request[] | null>(null);
  const error = useSignal<unknown>(null);
  const said = useSignal("");
  const more = useSignal(false);
  const read = async (background: boolean): Promise<void> => {
    type Answer = { AccessRequests: Request[]; NextToken?: string };
    const body = { MaxResults: MOST };
    const answer = await call<Answer>("Towline.ListAccessRequests", body, background);
    requests.value = answer.AccessRequests;
    more.value = answer.NextToken !== undefined;
  };
  const attempt = async (act: () => Promise<void>): Promise<void> => {
    error.value = null;
    said.value = "";
    try {
      await act();
    } catch (caught) {
      error.value = caught;
    }
  };
  useEffect(() => {
    void attempt(() => read(false));
    let asked = Date.now();
    const again = (): void => {
      asked = Date.now();
      // A list that cannot be read again stays as it is: the first reading said why.
      if (!document.hidden && requests.value) read(true).catch(() => undefined);
    };
    const timer = setInterval(() => {
      if (!isTold.value || Date.now() - asked > TOLD_MS) again();
    }, EVERY_MS);
    const deaf = onChange("access", again);
    return () => {
      clearInterval(timer);
      deaf();
    };
  }, []);
  const ask = (device: string, reason: string): Promise<void> =>
    attempt(async () => {
      const body = { Reason: reason, Targets: [{ Key: "InstanceIds", Values: [device] }] };
      const made = await call<{ AccessRequestId: string }>("AmazonSSM.StartAccessRequest", body);
      said.value = t("accessAsked", { id: made.AccessRequestId });
      await read(false).catch(() => undefined); // to ask needs no right to list
    });
  const decide = (id: string, decision: Decision): Promise<void> =>
    attempt(async () => {
      type Decided = { MoreApprovalsNeeded?: boolean };
      const body = { AccessRequestId: id, Decision: decision };
      const decided = await call<Decided>("Towline.ApproveAccessRequest", body);
      if (decided.MoreApprovalsNeeded) said.value = t("accessExtensionCounted");
      await read(false);
    });
  return (
    <main class="admin">
      <h1>{t("access")}</h1>
      <Ask device={place.query.get("device") ?? ""} ask={ask} />
      <p role="status">{said.value}</p>
      {error.value !== null && <Refusal error={error.value} />}
      {requests.value === null && error.value === null && <p class="hint">{t("loading")}</p>}
      {requests.value?.length === 0 && <p class="empty">{t("accessNone")}</p>}
      {requests.value && requests.value.length > 0 && (
        <Requests all={requests.value} marked={place.query.get("request")} decide={decide} />
      )}
      {more.value && <p class="hint">{t("listedFirst", { n: MOST })}</p>}
    </main>
  );
}

function Ask(props: { device: string; ask: (device: string, reason: string) => Promise<void> }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => String(form.get(name) ?? "").trim();
    void props.ask(text("device"), text("reason"));
  };
  return (
    <form class="tools" onSubmit={submit}>
      <label>
        {t("accessDevice")}
        <input
          name="device"
          key={props.device}
          defaultValue={props.device}
          required
          spellcheck={false}
        />
      </label>
      <label>
        {t("accessReason")}
        <input name="reason" required maxLength={256} />
      </label>
      <button type="submit">{t("accessAsk")}</button>
      <p class="hint">{t("accessUse")}</p>
    </form>
  );
}

interface Listed {
  all: Request[];
  marked: string | null;
  decide: (id: string, decision: Decision) => Promise<void>;
}

const HEADS = [
  "accessRequester",
  "accessReason",
  "accessTargets",
  "state",
  "accessApprovals",
  "accessLeft",
  "accessDecide",
] as const;

function Requests(props: Listed) {
  return (
    <TableFrame label={t("access")} heads={HEADS.map((head) => t(head))}>
      {props.all.map((one) => (
        <tr
          key={one.AccessRequestId}
          data-request={one.AccessRequestId}
          data-state={one.Status}
          aria-current={one.AccessRequestId === props.marked ? "true" : undefined}
        >
          <td>{one.Requester}</td>
          <td>{one.Reason}</td>
          <td>
            {one.Targets.map((target) => `${target.Key}=${target.Values.join(",")}`).join(" ")}
          </td>
          <td>
            {t(one.Status)}{" "}
            {one.DecidedBy && <small>{t("accessDecidedBy", { arn: one.DecidedBy })}</small>}
          </td>
          <td title={one.Policy}>{approvals(one)}</td>
          <td>{left(one)}</td>
          <td>
            {choices(one).map((decision) => (
              <button
                type="button"
                key={decision}
                aria-label={t("ofRequest", { what: t(WORDS[decision]), id: one.AccessRequestId })}
                // The second click of a double click was not meant for the next decision.
                onClick={(event) =>
                  event.detail < 2 && void props.decide(one.AccessRequestId, decision)
                }
              >
                {t(WORDS[decision])}
              </button>
            ))}
          </td>
        </tr>
      ))}
    </TableFrame>
  );
}

function choices(request: Request): Decision[] {
  if (request.Status === "Pending") return ["Approve", "Reject"];
  if (request.Status !== "Approved") return [];
  // What no person has approved, no person extends.
  return request.Kind === "Manual" ? ["Extend", "Revoke"] : ["Revoke"];
}

/**
 * How far the approvals are, level by level, and who may give those of the level that has its turn.
 */
function approvals(request: Request): string {
  if (request.Kind === "Auto") return t("accessAutomatic");
  if (request.Kind === "BreakGlass") return t("accessEmergency");
  const levels = request.Levels ?? [];
  const counts = levels
    .map((level) => `${level.ApprovedBy.length}/${level.MinRequiredApprovals}`)
    .join(" → ");
  const turn = levels.find((level) => level.ApprovedBy.length < level.MinRequiredApprovals);
  const names = request.Status === "Pending" ? (turn?.Approvers ?? []) : [];
  return names.length > 0 ? `${counts} (${names.join(", ")})` : counts;
}

function left(request: Request): string {
  if (choices(request).length === 0) return "";
  const minutes = Math.max(0, Math.ceil((request.ExpiresDate * 1000 - gatewayNow()) / 60_000));
  return t("accessMinutes", { minutes });
}
