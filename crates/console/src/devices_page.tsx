// The list of devices: the gateway searches, the rows around those in sight are asked for, and only
// the rows in sight are in the page, so that 100,000 cost as much as 50. The address holds what is
// asked for.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Answer, useAnswer, useRead } from "./answers.ts";
import { identity } from "./api.ts";
import {
  type Device,
  MOST_IDS,
  type Part,
  type Question,
  type Rows,
  STATES,
  askedFor,
  nameOf,
  platformOf,
  searchDevices,
  stateOf,
  tagsOf,
  visible,
} from "./devices.ts";
import { type PageProps, addressOf } from "./pages.ts";
import { Remark } from "./parts.tsx";
import type { Listed } from "./sessions.ts";
import { dateOf, t } from "./strings.ts";

/** Height of a row in style.css, pixels. */
const ROW = 44;
/** The list is read again so often, at the most. */
const EVERY_MS = 3000;
/** The rows that a question begins with. */
const BEGINNING = askedFor({ from: 0, to: 0 });
/** How long nothing is typed before the gateway is asked. */
const TYPED_MS = 60;

/** The rows that are asked for, by the scrolling in the answer to one question. */
interface Scrolled extends Rows {
  of: string;
}

export function DevicesPage({ place }: PageProps) {
  const question = useSignal<Question>({ words: "", state: "" });
  const rows = useSignal<Scrolled>({ of: "", ...BEGINNING });
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const { query } = place;
    question.value = { words: query.get("q") ?? "", state: query.get("state") ?? "" };
  }, [place]);
  const asked = question.value;
  const key = JSON.stringify(asked);
  const { from, to } = rows.value.of === key ? rows.value : BEGINNING;
  const answer = useRead(
    () => searchDevices(asked, { from, to }),
    JSON.stringify([asked, from, to]),
    EVERY_MS,
    true,
    "devices",
  );
  const found = answer.value.value;
  return (
    <main class="devices">
      <h1>{t("devices")}</h1>
      <OwnSessions devices={found?.InstanceInformationList ?? []} />
      <Filters question={question} answer={answer} />
      <Remark answer={answer} />
      <Chosen chosen={chosen} found={found} />
      <List key={key} of={key} found={found} asked={asked} rows={rows} chosen={chosen} />
    </main>
  );
}

function Filters(props: { question: Signal<Question>; answer: Answer<Part> }) {
  const { question } = props;
  const timer = useRef<ReturnType<typeof setTimeout>>();
  /** What is in the field: it is ahead of the question, and an answer does not turn it back. */
  const typed = useSignal<string | null>(null);
  const ask = (part: Partial<Question>): void => {
    const now = { ...question.peek(), ...part };
    question.value = now;
    if (part.words !== undefined) typed.value = null;
    const query = {
      ...(now.words ? { q: now.words } : {}),
      ...(now.state ? { state: now.state } : {}),
    };
    history.replaceState(null, "", addressOf("", [], query));
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  const total = props.answer.value.value?.TotalCount;
  return (
    <div class="tools">
      <input
        type="search"
        aria-label={t("search")}
        placeholder={t("search")}
        maxLength={256}
        value={typed.value ?? question.value.words}
        onInput={(event) => {
          const words = event.currentTarget.value;
          typed.value = words;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => ask({ words }), TYPED_MS);
        }}
      />
      <select
        aria-label={t("state")}
        value={question.value.state}
        onChange={(event) => ask({ state: event.currentTarget.value })}
      >
        <option value="">{t("everyState")}</option>
        {STATES.map((state) => (
          <option key={state} value={state}>
            {t(`state_${state}`)}
          </option>
        ))}
      </select>
      <span role="status">{total !== undefined && t("counted", { all: total })}</span>
    </div>
  );
}

type Choice = Signal<ReadonlySet<string>>;

/**
 * What can be done with the devices that are chosen. They stay chosen while others are searched
 * for.
 */
function Chosen({ chosen, found }: { chosen: Choice; found: Part | null }) {
  const count = chosen.value.size;
  const shown = (found?.InstanceInformationList ?? []).slice(0, MOST_IDS);
  if (count === 0) return null;
  return (
    <div class="tools" role="group" aria-label={t("chosenDevices")}>
      <span role="status">{t("chosenCount", { count })}</span>
      {count > MOST_IDS ? (
        <span class="hint">{t("tooManyIds")}</span>
      ) : (
        <a class="button" href={addressOf("run", [], { ids: [...chosen.value].join(",") })}>
          {t("runCommand")}
        </a>
      )}
      {found && found.TotalCount <= MOST_IDS && (
        <button
          type="button"
          onClick={() => {
            chosen.value = new Set([...chosen.value, ...shown.map((device) => device.InstanceId)]);
          }}
        >
          {t("chooseFound", { count: found.TotalCount })}
        </button>
      )}
      <button
        type="button"
        onClick={() => {
          chosen.value = new Set();
        }}
      >
        {t("chooseNone")}
      </button>
    </div>
  );
}

function List(props: {
  of: string;
  found: Part | null;
  asked: Question;
  rows: Signal<Scrolled>;
  chosen: Choice;
}) {
  const { of, found, rows, chosen } = props;
  const top = useSignal(0);
  const height = useSignal(600);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = list.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [height]);
  const count = found?.TotalCount ?? 0;
  const window = visible(count, top.value, height.value, ROW);
  // While the rows in sight are awaited, the ones that were read before may lie elsewhere.
  const read = found?.from ?? 0;
  const first = Math.max(window.from, read);
  const shown = (found?.InstanceInformationList ?? []).slice(
    first - read,
    Math.max(0, window.to - read),
  );
  const wanted = askedFor(window);
  useEffect(() => {
    if (found) rows.value = { of, ...wanted };
  }, [wanted.from, wanted.to]);
  const isAsked = props.asked.words.trim() !== "" || props.asked.state !== "";
  return (
    <div
      class="list"
      role="table"
      aria-label={t("devices")}
      aria-rowcount={count + 1}
      aria-busy={shown.length < window.to - window.from}
      ref={list}
      tabIndex={0}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop;
      }}
    >
      <div role="row" class="row head" aria-rowindex={1}>
        <span role="columnheader">
          <span class="unseen">{t("choose")}</span>
        </span>
        {(["name", "state", "platform", "address", "tags", "terminal"] as const).map((name) => (
          <span role="columnheader" key={name}>
            {t(name)}
          </span>
        ))}
      </div>
      <Spacer rows={shown.length > 0 ? first : count} />
      {shown.map((device, n) => (
        <Row key={device.InstanceId} device={device} index={first + n + 2} chosen={chosen} />
      ))}
      <Spacer rows={shown.length > 0 ? count - first - shown.length : 0} />
      {found && count === 0 && <p class="empty">{t(isAsked ? "noneFound" : "noDevices")}</p>}
    </div>
  );
}

/** The room of rows that are not in the page. */
function Spacer({ rows }: { rows: number }) {
  return <div role="presentation" style={{ height: `${rows * ROW}px` }} />;
}

function Row({ device, index, chosen }: { device: Device; index: number; chosen: Choice }) {
  const name = nameOf(device);
  const state = stateOf(device);
  return (
    <div role="row" class="row" aria-rowindex={index} data-device={device.InstanceId}>
      <span role="cell">
        <input
          type="checkbox"
          aria-label={t("chooseNamed", { name })}
          checked={chosen.value.has(device.InstanceId)}
          onChange={(event) => {
            const now = new Set(chosen.value);
            if (event.currentTarget.checked) now.add(device.InstanceId);
            else now.delete(device.InstanceId);
            chosen.value = now;
          }}
        />
      </span>
      <span role="cell" class="name" title={device.InstanceId}>
        <a href={addressOf("device", [device.InstanceId])}>{name}</a>
        {name !== device.InstanceId && <small>{device.InstanceId}</small>}
      </span>
      <span role="cell" class={`state ${state.mark}`} title={state.name}>
        {state.name}
      </span>
      <span role="cell">{platformOf(device)}</span>
      <span role="cell">{device.IPAddress ?? ""}</span>
      <span role="cell" title={tagsOf(device)}>
        {tagsOf(device)}
      </span>
      <span role="cell">
        {device.PingStatus === "Online" && (
          <a
            class="button"
            href={addressOf("shell", [device.InstanceId, name])}
            aria-label={t("openShellOn", { name })}
          >
            {t("openShell")}
          </a>
        )}
      </span>
    </div>
  );
}

/**
 * Shells of the user that are open: those left behind by detaching, too. Who may not list sessions
 * sees none.
 */
function OwnSessions({ devices }: { devices: Device[] }) {
  const owner = { key: "Owner", value: identity.value?.arn ?? "" };
  const body = { State: "Active", MaxResults: 50, Filters: [owner] };
  const answer = useAnswer<{ Sessions: Listed[] }>(
    "AmazonSSM.DescribeSessions",
    body,
    5000,
    "sessions",
  );
  const sessions = answer.value.value?.Sessions ?? [];
  const names = useRef(new Map<string, string>()).current;
  const targets = new Set(sessions.map((session) => session.Target));
  for (const device of devices)
    if (targets.has(device.InstanceId)) names.set(device.InstanceId, nameOf(device));
  if (sessions.length === 0) return null;
  return (
    <section aria-labelledby="own">
      <h2 id="own">{t("yourSessions")}</h2>
      <ul class="own">
        {sessions.map((session) => (
          <li key={session.SessionId}>
            <span>
              {names.get(session.Target) ?? session.Target}{" "}
              <small>{t("since", { time: dateOf(session.StartDate) })}</small>
            </span>
            <a class="button" href={addressOf("terminal", [session.SessionId])}>
              {t("resume")}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
