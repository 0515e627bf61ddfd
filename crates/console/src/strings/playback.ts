// Texts of the player of recordings, in English and Korean.

export const PLAYBACK = {
  recordingOfSession: ["Recording of {session}", "{session}의 녹화"],
  play: ["Play", "재생"],
  pause: ["Pause", "일시 정지"],
  speed: ["Speed", "속도"],
  skipIdle: ["Skip idle time", "유휴 시간 건너뛰기"],
  position: ["Position", "재생 위치"],
  linkHere: ["Link to this moment", "이 시점의 링크"],
  downloadCast: ["Download as cast", "cast로 내려받기"],
  searchOutput: ["Search the output", "출력 검색"],
  nextHit: ["Find next", "다음 찾기"],
  foundAt: ["Found at {time}", "{time}에서 찾음"],
  notFound: ["The text is not in the output.", "출력에 그 텍스트가 없습니다."],
  recordedScreen: ["Recorded screen", "녹화된 화면"],
  programs: ["Programs and gaps", "프로그램과 누락 구간"],
  noPrograms: [
    "The recording names no program and no gap.",
    "녹화에 프로그램이나 누락 구간이 없습니다.",
  ],
  markersCut: [
    "The first {shown} of {all} are listed.",
    "{all}개 중 처음 {shown}개만 표시됩니다.",
  ],
  notARecording: [
    "This is not a recording that the page can read.",
    "이 페이지가 읽을 수 있는 녹화가 아닙니다.",
  ],
  cutRecording: [
    "Only the beginning is shown: the recording is too long for this page, or damaged behind it. Use `towline play`.",
    "앞부분만 표시됩니다. 녹화가 이 페이지에 너무 길거나 그 뒤가 손상되었습니다. `towline play`를 사용하세요.",
  ],
  notFinished: [
    "The session goes on: this is what was recorded when the page read it.",
    "세션이 진행 중입니다. 페이지가 읽은 시점까지의 녹화입니다.",
  ],
  unreadable: [
    "{lines} lines of the recording cannot be read.",
    "녹화의 {lines}줄을 읽을 수 없습니다.",
  ],
} as const satisfies Record<string, readonly [string, string]>;
