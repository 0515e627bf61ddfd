// The texts of the list of devices, of signing in, and those that several pages share, in English
// and Korean. A text may hold `{name}`, which `t` fills in, and `[one|many]`: the first where the
// value before it is the number 1.
//
// Invariants: what a page alone says is in a file of its own in `strings`, whose `t` knows both: it
// is loaded with that page, and a page cannot use a text that is not loaded.

import { signal } from "@preact/signals";

export const SHARED = {
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
    "The gateway refused this access key or its secret. Check both.",
    "게이트웨이가 이 액세스 키 또는 비밀 키를 거부했습니다. 둘 다 확인하세요.",
  ],
  throttled: [
    "Too many attempts failed from this address. Wait a minute.",
    "이 주소에서 실패한 시도가 너무 많습니다. 1분 기다리세요.",
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
    "{count} shell[ is|s are] open in this browser. End [it|them], or leave [it|them] running?",
    "이 브라우저에 셸 {count}개가 열려 있습니다. 끝낼까요, 아니면 장치에서 계속 실행할까요?",
  ],
  endIt: ["End", "끝내기"],
  leaveIt: ["Leave running", "계속 실행"],
  cancel: ["Cancel", "취소"],
  devices: ["Devices", "장치"],
  search: ["Search by id, name, tag, platform, address", "ID, 이름, 태그, 플랫폼, 주소로 검색"],
  counted: ["{all} device[|s]", "장치 {all}대"],
  noDevices: [
    "No devices yet. `towline activation create` prints the line that enrolls one.",
    "아직 장치가 없습니다. `towline activation create`가 장치를 등록하는 명령을 출력합니다.",
  ],
  noneFound: ["No device matches.", "일치하는 장치가 없습니다."],
  loading: ["Loading…", "불러오는 중…"],
  stale: ["What is shown is from {time}.", "{time} 기준 내용입니다."],
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
  terminal: ["Terminal", "터미널"],
  otherLanguage: ["한국어", "English"],
  navigation: ["Pages", "페이지"],
  noPage: ["There is no such page.", "그런 페이지가 없습니다."],
  pageTrouble: [
    "This page did not load. Reload the console: {why}",
    "페이지를 불러오지 못했습니다. 콘솔을 새로 고치세요: {why}",
  ],
  health: ["Health", "시스템 상태"],
  policies: ["Policies", "정책"],
  audit: ["Audit", "감사"],
  access: ["Access requests", "액세스 요청"],
  accessAsk: ["Ask for access", "액세스 요청하기"],
  refused: ["The gateway refused this.", "게이트웨이가 거부했습니다."],
  refusedAction: ["Action", "작업"],
  refusedOn: ["On", "대상 리소스"],
  refusedWhy: ["Why", "이유"],
  askAgain: ["Try again", "다시 시도"],
  copyLine: ["Copy", "복사"],
  copied: ["Copied", "복사됨"],
  copyByHand: ["Selected: copy it with the browser", "선택됨: 브라우저에서 복사하세요"],
  copyThis: ["Copy the line for {what}", "{what} 명령 복사"],
  everyState: ["every state", "모든 상태"],
  state_online: ["online", "온라인"],
  state_offline: ["offline", "오프라인"],
  state_pending: ["waits for approval", "승인 대기 중"],
  state_quarantined: ["quarantined", "격리됨"],
  state_revoked: ["locked out", "차단됨"],
  stateQuarantined: [
    "quarantined: its key was seen on two connections",
    "격리됨: 키가 두 연결에서 발견됨",
  ],
  stateRevoked: ["locked out: it has no valid key", "차단됨: 유효한 키가 없음"],
  files: ["Files", "파일"],
  runCommand: ["Run command", "명령 실행"],
  at: ["Time", "시각"],
  error: ["Error", "오류"],
  enroll: ["Enroll", "등록"],
  tooManyIds: [
    "At most 50 devices can be named by ID. Use tags for more.",
    "ID로는 장치를 50대까지 지정할 수 있습니다. 더 많으면 태그를 쓰세요.",
  ],
  choose: ["Choose", "선택"],
  chooseNamed: ["Choose {name}", "{name} 선택"],
  chosenDevices: ["Chosen devices", "선택한 장치"],
  chosenCount: ["{count} device[|s] chosen", "장치 {count}대 선택됨"],
  chooseFound: ["Choose all {count} found", "찾은 {count}대 모두 선택"],
  chooseNone: ["Choose none", "선택 해제"],
  sessions: ["Sessions", "세션"],
  device: ["Device", "장치"],
  actions: ["Actions", "작업"],
  recordingLink: ["Recording", "녹화"],
  watch: ["Watch", "관찰"],
  join: ["Join", "참여"],
  dismiss: ["Dismiss", "닫기"],
  tools: ["Tools", "도구"],
  executed: ["Commands", "명령 기록"],
  signInWith: ["Sign in with {name}", "{name}(으)로 로그인"],
  providerStopped: ["{name} is disabled.", "{name} 중지됨"],
  orByKey: ["Or with an access key", "또는 액세스 키로"],
  temporaryCredentials: ["With temporary credentials", "임시 자격 증명으로 로그인"],
  sessionToken: ["Session token", "세션 토큰"],
  factor: ["Second factor", "2단계 인증"],
  factorTitle: ["A second factor is needed", "2단계 인증이 필요합니다"],
  factorAgain: [
    "A policy asks for a fresh second factor. Sign in again: you return to this page.",
    "정책에서 새로 확인한 2단계 인증을 요구합니다. 다시 로그인하면 이 페이지로 돌아옵니다.",
  ],
  factorCode: ["Code of your authenticator", "인증 앱의 코드"],
  factorProve: ["Prove", "확인"],
  programTitle: ["Sign a program in", "프로그램 로그인"],
} as const satisfies Record<string, readonly [string, string]>;

export type Text = keyof typeof SHARED;

type Texts = Readonly<Record<string, readonly [string, string]>>;
type Values = Record<string, string | number>;

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

function filled(text: string, values: Values): string {
  let isOne = false;
  return text.replace(/\{(\w+)\}|\[([^|]*)\|(.*?)\]/g, (all, key, one: string, many: string) => {
    if (!key) return isOne ? one : many;
    const value = values[key] ?? all;
    isOne = value === 1;
    return isolated(String(value));
  });
}

/** What gives a text of a page, or one that pages share, in the user's language. */
export function textsOf<Own extends Texts>(
  own: Own,
): (name: Text | keyof Own, values?: Values) => string {
  const all: Texts = { ...SHARED, ...own };
  return (name, values = {}) => filled(all[name as string]?.[language.value] ?? "", values);
}

/** A text that pages share, in the user's language. */
export const t = textsOf({});

/**
 * A value that turns the direction of writing turns its own alone, not that of the sentence around
 * it.
 */
function isolated(value: string): string {
  return /[\u202a-\u202e\u2066-\u2069]/.test(value) ? `\u2068${value}\u2069` : value;
}

/** Date and time of seconds with the time zone, in the user's form; empty for none. */
export function dateOf(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  const form = { dateStyle: "medium", timeStyle: "long" } as const;
  return new Date(seconds * 1000).toLocaleString(language.value === 1 ? "ko" : "en-GB", form);
}
