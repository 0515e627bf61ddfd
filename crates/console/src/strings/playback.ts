// Texts of the player of recordings and of searches, in English and Korean.

import { textsOf } from "../strings.ts";

export const PLAYBACK = {
  recordingOfSession: ["Recording of {session}", "{session}의 녹화"],
  play: ["Play", "재생"],
  pause: ["Pause", "일시 정지"],
  speed: ["Speed", "속도"],
  skipIdle: ["Skip idle time", "유휴 시간 건너뛰기"],
  position: ["Position", "재생 위치"],
  linkHere: ["Link to this moment", "이 시점의 링크"],
  downloadCast: ["Download as cast", "cast로 내려받기"],
  downloadText: ["Download as text", "텍스트로 내려받기"],
  tooLongToSave: [
    "Too long to be saved here: use `towline export`.",
    "여기서 저장하기에는 너무 깁니다. `towline export`를 사용하세요.",
  ],
  searchingAt: ["Searching at {time} of {all}…", "{all} 중 {time}에서 검색 중…"],
  stopSearch: ["Stop the search", "검색 중지"],
  searchOutput: ["Search what the screen showed", "화면에 표시된 내용 검색"],
  nextHit: ["Find next", "다음 찾기"],
  foundAt: ["Found at {time}", "{time}에서 찾음"],
  notFound: ["The screen did not show this text.", "화면에 그 텍스트가 표시되지 않았습니다."],
  recordedScreen: ["Recorded screen", "녹화된 화면"],
  programs: ["Programs and gaps", "프로그램과 누락 구간"],
  noPrograms: [
    "The recording names no program and no gap.",
    "녹화에 프로그램이나 누락 구간이 없습니다.",
  ],
  exitedWith: ["exit {n}", "종료 코드 {n}"],
  endedBySignal: ["ended by signal {n}", "시그널 {n}(으)로 종료"],
  noExitCodes: ["No exit codes: {why}", "종료 코드 없음: {why}"],
  markersCut: ["The first {shown} of {all} are listed.", "{all}개 중 처음 {shown}개만 표시됩니다."],
  searchIn: ["Search in", "검색 대상"],
  inCommands: ["programs and typed lines", "프로그램과 입력한 줄"],
  inScreens: ["what screens showed", "화면에 표시된 내용"],
  wordsOfCommand: ["Words", "단어"],
  screensSearched: [
    "Draws the recordings that you may read, the newest first, and looks for the words on each screen. That reads whole recordings: name a device to read fewer.",
    "볼 권한이 있는 녹화를 최신순으로 재생하며 각 화면에서 단어를 찾습니다. 녹화를 모두 읽으므로 장치를 지정하면 더 빠릅니다.",
  ],
  screensLooked: ["{looked} recording[|s] looked at.", "녹화 {looked}개 확인함."],
  screensLeft: [
    "{left} session[|s] [has|have] no recording that you may read.",
    "세션 {left}개는 볼 수 있는 녹화가 없습니다.",
  ],
  screensCut: [
    "{cut} recording[|s] [was|were] not searched to [its|their] end: see the list.",
    "녹화 {cut}개는 끝까지 검색하지 않았습니다. 목록을 확인하세요.",
  ],
  screensAt: [
    "Searching {session} at {time} of {all}…",
    "{session}의 {all} 중 {time}에서 검색 중…",
  ],
  notSearched: ["Not searched to the end", "끝까지 검색하지 않은 녹화"],
  searchedUpTo: ["Searched up to", "검색한 위치"],
  atOfAll: ["{at} of {all}", "{all} 중 {at}"],
  restUnreadable: [
    "{at}; the page cannot read what follows: use `towline export`",
    "{at}. 이후는 이 페이지에서 읽을 수 없습니다. `towline export`를 사용하세요",
  ],
  searchRest: ["Search the rest", "나머지 검색"],
  searchRestOf: ["Search the rest of {session}", "{session}의 나머지 검색"],
  searchGoesOn: ["Searching…", "검색 중…"],
  searchExecuted: ["Search", "검색"],
  whatIsSearched: [
    "Searches the command log: arguments, paths and typed lines of the sessions whose commands you may list, newest first.",
    "명령 기록을 검색합니다. 명령을 볼 권한이 있는 세션의 인수, 경로, 입력한 줄을 최신순으로 찾습니다.",
  ],
  executedFound: ["{count} found.", "{count}개 찾음."],
  searchedBackTo: ["Searched back to {time}.", "{time}까지 검색함."],
  searchOn: ["Search further back", "더 이전까지 검색"],
  programOrLine: ["Program or line", "프로그램 또는 입력한 줄"],
  recordingOfIt: ["Recording of the session", "세션의 녹화"],
  programNotThere: [
    "The recording has no marker of this program. It is shown from the beginning.",
    "녹화에 이 프로그램의 표시가 없습니다. 처음부터 보여 줍니다.",
  ],
  verify: ["Verify", "검증"],
  verifying: ["Verifying: {percent} %", "검증 중: {percent} %"],
  verifiedWhole: [
    "Verified: all {lines} records are as they were sealed, {gaps} gap[|s]. This is the check of `towline verify SESSION`; `towline verify` on the sink shows whether the recording is the original.",
    "검증됨: 기록 {lines}개가 봉인된 그대로이며 누락 {gaps}개입니다. `towline verify SESSION`과 같은 검사입니다. 원본 여부는 저장소에 대한 `towline verify`로 확인하세요.",
  ],
  verifiedSoFar: [
    "Verified so far: {lines} record[|s] [is|are] as [it was|they were] sealed, {gaps} gap[|s]; the session goes on.",
    "현재까지 검증됨: 기록 {lines}개가 봉인된 그대로이며 누락 {gaps}개입니다. 세션이 진행 중입니다.",
  ],
  verifiedFaulty: ["NOT verified: {fault}.", "검증 실패: {fault}."],
  verifiedFaultyPart: ["NOT verified: part {n}: {fault}.", "검증 실패: {n}번째 부분: {fault}."],
  verifiedNotAll: [
    "Only {here} of {all} parts are here; the others are NOT verified.",
    "{all}개 부분 중 {here}개만 있습니다. 나머지는 검증되지 않았습니다.",
  ],
  verifiedParts: [
    "{n} gateway[|s] recorded it; each part was checked.",
    "게이트웨이 {n}개가 녹화했으며 각 부분을 확인했습니다.",
  ],
  partMissing: ["part {n} of the recording is missing", "녹화의 {n}번째 부분이 없음"],
  partMaybeMissing: [
    "A further part may be missing: no answer from {names}.",
    "뒤에 다른 부분이 더 있을 수 있습니다. {names}에서 응답이 없습니다.",
  ],
  verifiedNotThat: ["It is NOT verified.", "그 부분은 검증되지 않았습니다."],
  partIsMissing: [
    "Part {n} of {all} ({name}) is at a gateway that does not answer: it is left out.",
    "{all}개 중 {n}번째 부분({name})은 응답하지 않는 게이트웨이에 있어 제외되었습니다.",
  ],
  notARecording: [
    "This is not a recording that the page can read.",
    "이 페이지가 읽을 수 있는 녹화가 아닙니다.",
  ],
  cutRecording: [
    "Only the beginning is shown: the recording is too long for this page, or damaged after it. Use `towline play`.",
    "앞부분만 표시됩니다. 녹화가 이 페이지에 너무 길거나 그 뒤가 손상되었습니다. `towline play`를 사용하세요.",
  ],
  notFinished: [
    "The session goes on: what is recorded meanwhile is added every few seconds.",
    "세션이 진행 중입니다. 그동안 녹화된 내용이 몇 초마다 추가됩니다.",
  ],
  indexing: [
    "The gateway makes an index of this recording: {mib} MiB so far…",
    "게이트웨이가 이 녹화의 색인을 만드는 중입니다: 지금까지 {mib} MiB…",
  ],
  unreadable: [
    "{lines} line[|s] of the recording cannot be read.",
    "녹화의 {lines}줄을 읽을 수 없습니다.",
  ],
  searchFilters: ["Filters", "필터"],
  searchDevice: ["Device (id)", "장치 (ID)"],
  sessionOwner: ["Owner", "소유자"],
  sessionStarted: ["Started", "시작"],
} as const satisfies Record<string, readonly [string, string]>;

export const t = textsOf(PLAYBACK);
