// Every text of the console, in English and Korean. A text may hold `{name}`, which `t` fills in.

import { signal } from "@preact/signals";
import { ADMIN } from "./strings/admin.ts";
import { FLEET } from "./strings/fleet.ts";
import { LIVE } from "./strings/live.ts";
import { PLAYBACK } from "./strings/playback.ts";
import { SIGN_IN } from "./strings/sign_in.ts";

const SHARED = {
  title: ["Towline", "Towline"],
  signIn: ["Sign in", "로그인"],
  accessKey: ["Access key ID", "액세스 키 ID"],
  secretKey: ["Secret access key", "비밀 액세스 키"],
  secretStays: [
    "The secret signs one request in this tab. It is neither sent nor stored.",
    "비밀 키는 이 탭에서 요청 하나에 서명할 때만 쓰입니다. 전송되거나 저장되지 않습니다.",
  ],
  signingIn: ["Signing in…", "로그인하는 중…"],
  keyRefused: [
    "The gateway refused this access key or its secret. Check both and try again.",
    "게이트웨이가 이 액세스 키 또는 비밀 키를 거부했습니다. 확인한 뒤 다시 시도하세요.",
  ],
  throttled: [
    "Too many attempts failed from this address. Wait a minute and try again.",
    "이 주소에서 실패한 시도가 너무 많습니다. 1분 뒤에 다시 시도하세요.",
  ],
  unreachable: ["The gateway does not answer: {why}", "게이트웨이가 응답하지 않습니다: {why}"],
  signInOver: [
    "Your sign-in is over. Sign in again.",
    "로그인이 만료되었습니다. 다시 로그인하세요.",
  ],
  otherUser: [
    "This browser is signed in as {name} now. Nothing was done.",
    "이 브라우저는 이제 {name}(으)로 로그인되어 있습니다. 요청은 실행되지 않았습니다.",
  ],
  signOut: ["Sign out", "로그아웃"],
  signedInAs: ["Signed in as {name}", "{name}(으)로 로그인함"],
  endShells: [
    "A shell is open in this tab. End it, or leave it running on the device?",
    "이 탭에 셸이 열려 있습니다. 셸을 끝낼까요, 아니면 장치에서 계속 실행할까요?",
  ],
  endIt: ["End it", "끝내기"],
  leaveIt: ["Leave it running", "계속 실행"],
  cancel: ["Cancel", "취소"],
  devices: ["Devices", "장치"],
  search: ["Search by id, name, tag, platform, address", "ID, 이름, 태그, 플랫폼, 주소로 검색"],
  counted: ["{all} devices", "장치 {all}대"],
  noDevices: [
    "No devices yet. `towline activation create` makes the line that enrolls one.",
    "아직 장치가 없습니다. `towline activation create`가 장치를 등록하는 명령을 만듭니다.",
  ],
  noneFound: ["No device matches.", "일치하는 장치가 없습니다."],
  loading: ["Loading…", "불러오는 중…"],
  stale: ["What is shown is from {time}.", "{time} 기준 내용입니다."],
  online: ["online", "온라인"],
  lost: ["offline", "오프라인"],
  inactive: ["never connected", "연결된 적 없음"],
  name: ["Name", "이름"],
  state: ["State", "상태"],
  platform: ["Platform", "플랫폼"],
  address: ["Address", "주소"],
  tags: ["Tags", "태그"],
  openShell: ["Shell", "셸"],
  openShellOn: ["Open a shell on {name}", "{name}에서 셸 열기"],
  yourSessions: ["Your open sessions", "열려 있는 내 세션"],
  resume: ["Resume", "이어서 열기"],
  since: ["since {time}", "{time}부터"],
  opening: ["Opening a shell…", "셸을 여는 중…"],
  connected: ["Connected", "연결됨"],
  waiting: [
    "The device is not connected. The session waits for it for up to {seconds} s. While it has power and a network, it dials at least once in 10 s.",
    "장치가 연결되어 있지 않습니다. 세션이 최대 {seconds}초 동안 기다립니다. 전원과 네트워크가 있으면 장치는 10초 안에 다시 연결을 시도합니다.",
  ],
  reconnecting: ["Reconnecting since {time}", "{time}부터 다시 연결하는 중"],
  kept: ["{bytes} bytes of input are kept", "입력 {bytes}바이트를 보관 중"],
  inputFull: [
    "Input is full: what you type now is discarded until the device takes input again.",
    "입력 버퍼가 가득 찼습니다. 장치가 입력을 다시 받을 때까지 입력한 내용은 버려집니다.",
  ],
  missed: ["{bytes} bytes of output were lost.", "출력 {bytes}바이트가 유실되었습니다."],
  needSignIn: [
    "Your sign-in is over. The shell goes on on the device: sign in to return to it.",
    "로그인이 만료되었습니다. 셸은 장치에서 계속 실행됩니다. 다시 로그인하면 돌아갈 수 있습니다.",
  ],
  takenOver: ["Another window took this session over.", "다른 창에서 이 세션을 넘겨받았습니다."],
  takeOver: ["Take it over", "넘겨받기"],
  inOtherTab: ["This session is open in another tab.", "이 세션은 다른 탭에 열려 있습니다."],
  detach: ["Detach", "분리"],
  detachHint: ["Leave the shell running on the device", "셸을 장치에서 계속 실행한 채 나가기"],
  end: ["End", "종료"],
  endHint: ["End the shell and its programs", "셸과 그 프로그램 끝내기"],
  back: ["Back to the devices", "장치 목록으로"],
  again: ["New shell", "새 셸"],
  ended: ["The session is over: {why}", "세션이 끝났습니다: {why}"],
  exitedCode: ["the shell ended with status {code}", "셸이 상태 {code}(으)로 끝남"],
  exitedSignal: ["the shell was ended by signal {code}", "셸이 시그널 {code}(으)로 끝남"],
  timedOut: ["its time was over", "시간 초과"],
  idleTimeout: ["it was idle for too long", "너무 오래 사용하지 않음"],
  maxDuration: ["it reached its maximum duration", "최대 시간에 도달함"],
  terminated: ["somebody terminated it", "다른 사람이 종료함"],
  closedByOperator: ["you ended it", "직접 종료함"],
  operatorGone: ["nobody was attached for too long", "오랫동안 아무도 연결하지 않음"],
  deviceGone: ["the device did not return", "장치가 돌아오지 않음"],
  notOpened: ["the device did not open it", "장치가 열지 않음"],
  deviceRevoked: ["the device was removed or locked out", "장치가 제거되었거나 차단됨"],
  violation: ["one end violated the protocol", "한쪽이 프로토콜을 어김"],
  broken: [
    "The gateway sent what this page cannot read: {why}",
    "게이트웨이가 읽을 수 없는 내용을 보냈습니다: {why}",
  ],
  noShell: ["No shell: {why}", "셸을 열 수 없습니다: {why}"],
  pasteTitle: ["Paste {lines} lines?", "{lines}줄을 붙여 넣을까요?"],
  pasteHint: ["A shell may execute each line at once.", "셸이 각 줄을 바로 실행할 수 있습니다."],
  paste: ["Paste", "붙여 넣기"],
  openLink: ["The device printed a link. Open it?", "장치가 출력한 링크입니다. 열까요?"],
  open: ["Open", "열기"],
  terminal: ["Terminal", "터미널"],
  otherLanguage: ["한국어", "English"],
  navigation: ["Pages", "페이지"],
  noPage: ["There is no such page in this console.", "이 콘솔에 그런 페이지가 없습니다."],
  pageTrouble: ["The page cannot be loaded: {why}", "페이지를 불러올 수 없습니다: {why}"],
} as const satisfies Record<string, readonly [string, string]>;

/** The texts of all pages. A name is used once: the last of two would win. */
const TEXTS = { ...SHARED, ...ADMIN, ...FLEET, ...LIVE, ...PLAYBACK, ...SIGN_IN };

export type Text = keyof typeof TEXTS;

const stored = (): string | null => {
  try {
    return localStorage.getItem("towline.language");
  } catch {
    return null;
  }
};

/** 0: English, 1: Korean. */
export const language = signal(initial());

function initial(): 0 | 1 {
  if (typeof navigator === "undefined") return 0;
  return (stored() ?? navigator.language).startsWith("ko") ? 1 : 0;
}

/** Changes to the other language, and stays there. */
export function switchLanguage(): void {
  language.value = language.value === 0 ? 1 : 0;
  try {
    localStorage.setItem("towline.language", language.value === 1 ? "ko" : "en");
  } catch {
    // Without storage the choice holds for this page.
  }
}

/** The text in the user's language. */
export function t(name: Text, values: Record<string, string | number> = {}): string {
  const text: string = TEXTS[name][language.value];
  return text.replace(/\{(\w+)\}/g, (all, key: string) => isolated(String(values[key] ?? all)));
}

/**
 * A value that turns the direction of writing turns its own alone, not that of the sentence around
 * it.
 */
function isolated(value: string): string {
  return /[\u202a-\u202e\u2066-\u2069]/.test(value) ? `\u2068${value}\u2069` : value;
}

/** All texts, for tests. */
export const ALL: Readonly<Record<string, readonly [string, string]>> = TEXTS;
/** The texts by page, for tests. */
export const PARTS: readonly object[] = [SHARED, ADMIN, FLEET, LIVE, PLAYBACK, SIGN_IN];

/** A time of day in the user's form. */
export function timeOf(ms: number): string {
  return new Date(ms).toLocaleTimeString(language.value === 1 ? "ko" : "en-GB");
}

/** Date and time of seconds, in the user's form; empty for none. */
export function dateOf(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  return new Date(seconds * 1000).toLocaleString(language.value === 1 ? "ko" : "en-GB");
}
