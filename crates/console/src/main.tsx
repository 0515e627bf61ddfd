// The console: who is signed in, which page the address names, and what ends with a sign-out.

import "@xterm/xterm/css/xterm.css";
import "./style.css";
import "./admin/admin.css";
import "./fleet/fleet.css";
import "./live/live.css";
import "./playback/playback.css";
import { effect, signal } from "@preact/signals";
import { type ComponentType, render } from "preact";
import { useEffect } from "preact/hooks";
import { call, identity, notice, signOut, whoIsIt, words } from "./api.ts";
import { LOCKED, current, detachAll } from "./current.ts";
import { Dialog, ask, dismiss } from "./dialog.tsx";
import { listen } from "./events.ts";
import { forgetKept, keptPrefix } from "./kept.ts";
import {
  LINK,
  type Page,
  PAGES,
  type PageProps,
  type Place,
  keepsShell,
  opensSession,
  pageOf,
} from "./pages.ts";
import { forget, forgetOthers, keepAddress, keptAddress } from "./saved.ts";
import { arrive, link } from "./sign_in_link.ts";
import { SignInPage } from "./sign_in_page.tsx";
import "./step_up.ts";
import { language, switchLanguage, t } from "./strings.ts";

const first = arrive(location.hash);
/** Who put the first address there is not known, unless this tab has shown it before. */
const place = signal<Place>({ ...first, isLink: keptAddress() !== location.hash });
const startTrouble = signal("");

/** The user has gone from one page to another. */
let moved = false;

window.addEventListener("hashchange", () => {
  moved = true;
  dismiss(); // what the page before asked is not answered on this one
  place.value = arrive(location.hash);
});

// A browser keeps what was typed into fields, and offers it to its next user.
document.addEventListener("focusin", ({ target }) => {
  if (target instanceof HTMLInputElement) target.autocomplete ||= "off";
});

/** Tabs of this browser tell each other of a sign-out, and who signs in: it is that of all. */
const tabs = new BroadcastChannel("towline");
tabs.onmessage = () => signedOut();
const signIns = new BroadcastChannel("towline-in");
signIns.onmessage = ({ data }) => {
  if (identity.peek()?.arn !== data) whoIsIt().catch(() => undefined);
};

/** Who was signed in last: a shell stays on the screen when that sign-in is over by itself. */
let before: string | undefined;

/** Nothing of the user stays in this tab. */
function signedOut(): void {
  before = undefined;
  detachAll();
  forget();
  void forgetKept();
  identity.value = null;
  location.hash = "#/";
}

effect(() => {
  const who = identity.value;
  if (who) signIns.postMessage(who.arn);
  if (who === null) {
    dismiss();
    if (before === undefined) {
      // What a closed tab left, and a page before this one whose sign-in is over.
      forget();
      void forgetKept();
    }
  }
  if (who && before !== who.arn) {
    if (before !== undefined) {
      detachAll();
      dismiss(); // what the user before was asked is nobody else's to answer
      location.hash = "#/";
      notice.value = t("otherUser", { name: who.name });
    }
    before = who.arn;
    forgetOthers();
    void forgetKept(keptPrefix());
  }
});

effect(() => {
  const { value } = place;
  if (identity.value && opensSession(value) && !value.isLink) keepAddress(location.hash);
});

/** Ends a session, of this tab or of another one. */
function end(SessionId: string): Promise<unknown> {
  const own = [...current].find(({ id }) => id === SessionId);
  return own?.end() ?? call("AmazonSSM.TerminateSession", { SessionId });
}

async function leave(): Promise<void> {
  // Of all tabs of this browser.
  const { held = [] } = await navigator.locks.query();
  const open = held.flatMap(({ name }) => name?.split(LOCKED)[1] ?? []);
  if (open.length > 0) {
    const ends = await ask(t("signOut"), t("endShells", { count: open.length }), [
      { label: t("endIt"), value: true },
      { label: t("leaveIt"), value: false },
    ]);
    if (ends === null) return;
    if (ends) await Promise.allSettled(open.map(end));
  }
  try {
    await signOut();
  } catch (error) {
    notice.value = words(error);
    return;
  }
  signedOut();
  tabs.postMessage("signed out");
}

/** Pages whose script is here. */
const loaded = signal<ReadonlyMap<string, ComponentType<PageProps>>>(new Map());
const pageTrouble = signal("");

/** The keyboard goes to the new page when what it was on is gone with the one before. */
function goToMain(): void {
  const main = document.querySelector("main");
  if (!main || (document.activeElement && document.activeElement !== document.body)) return;
  main.tabIndex = -1;
  main.focus({ preventScroll: true });
}

function Shown({ page, place }: PageProps & { page: Page }) {
  useEffect(() => {
    pageTrouble.value = "";
    if (loaded.value.has(page.path)) return;
    page.load().then(
      (component) => {
        loaded.value = new Map(loaded.value).set(page.path, component);
      },
      (error: unknown) => {
        pageTrouble.value = t("pageTrouble", { why: words(error) });
      },
    );
  }, [page]);
  const Component = loaded.value.get(page.path);
  useEffect(() => {
    if (moved && Component) goToMain();
  }, [Component]);
  if (Component) return <Component place={place} />;
  return <p class="empty">{pageTrouble.value || t("loading")}</p>;
}

function Navigation() {
  return (
    <nav aria-label={t("navigation")}>
      {PAGES.map(({ path, label }) => {
        if (!label) return null;
        const is = place.value.page === path;
        return (
          <a key={path} href={`#/${path}`} {...(is ? { "aria-current": "page" as const } : {})}>
            {t(label)}
          </a>
        );
      })}
    </nav>
  );
}

function App() {
  document.documentElement.lang = language.value === 1 ? "ko" : "en";
  const who = identity.value;
  const page = pageOf(place.value);
  const name = who ? (page?.label ?? page?.title) : "signIn";
  document.title = name ? `${t(name)} - ${t("title")}` : t("title");
  // A shell whose sign-in is over stays on the screen: it is returned to after the next sign-in.
  const stays = who === null && keepsShell(place.value) && before !== undefined;
  return (
    <>
      <header>
        <a href="#/" class="home">
          {t("title")}
        </a>
        {who && <Navigation />}
        <span class="grows" />
        <button type="button" class="plain" onClick={switchLanguage}>
          {t("otherLanguage")}
        </button>
        {who && (
          <>
            <a class="who" href="#/second-factor">
              {t("signedInAs", { name: who.name })}
            </a>
            <button type="button" onClick={() => void leave()}>
              {t("signOut")}
            </button>
          </>
        )}
      </header>
      <div role="status">
        {who && notice.value && (
          <p class="notice">
            {notice.value}{" "}
            <button
              type="button"
              onClick={() => {
                notice.value = "";
              }}
            >
              {t("dismiss")}
            </button>
          </p>
        )}
      </div>
      {who === undefined && <p class="empty">{startTrouble.value || t("loading")}</p>}
      {link.value && <Shown page={LINK} place={place.value} />}
      {!link.value && who === null && <SignInPage />}
      {!link.value && who && !page && <p class="empty">{t("noPage")}</p>}
      {!link.value && (who || stays) && page && (
        <Shown key={`${who?.arn ?? before} ${page.path}`} page={page} place={place.value} />
      )}
      <Dialog />
    </>
  );
}

function start(): void {
  whoIsIt().catch((error: unknown) => {
    startTrouble.value = words(error);
    setTimeout(start, 3000);
  });
}

listen();
const root = document.getElementById("app");
if (root) render(<App />, root);
start();
