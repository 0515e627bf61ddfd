// Texts of lists of sessions and of watching, in English and Korean.

import { textsOf } from "../strings.ts";

export const LIVE = {
  openSessions: ["open", "열림"],
  endedSessions: ["ended", "종료됨"],
  ownerArn: ["Owner (ARN)", "소유자 (ARN)"],
  startedAfter: ["Started after (local time)", "이후 시작 (현지 시각)"],
  startedBefore: ["Started before (local time)", "이전 시작 (현지 시각)"],
  show: ["Show", "보기"],
  endOfSession: ["End reason", "종료 사유"],
  anyEnd: ["any", "모두"],
  end_program: ["the program ended", "프로그램이 끝남"],
  end_closed: ["closed by its user", "사용자가 닫음"],
  end_terminated: ["terminated", "강제 종료됨"],
  end_idle: ["idle for too long", "너무 오래 사용하지 않음"],
  end_duration: ["maximum duration", "최대 시간에 도달함"],
  end_client: ["no client returned", "클라이언트가 돌아오지 않음"],
  end_device: ["the device did not return, or was removed", "장치가 돌아오지 않았거나 제거됨"],
  end_refused: ["could not be opened", "열 수 없었음"],
  narrowShown: ["Filter this list", "목록에서 찾기"],
  sessionsShown: ["{count} session[|s]", "세션 {count}개"],
  noSessions: ["No session matches.", "일치하는 세션이 없습니다."],
  endedAt: ["Ended", "종료"],
  reasonGiven: ["Reason: {reason}", "사유: {reason}"],
  runsDetached: ["runs without a client", "클라이언트 없이 실행"],
  justInTime: ["through an access request", "액세스 요청으로"],
  resumeNamed: ["Resume {name}", "{name} 이어서 열기"],
  recordingOf: ["Recording of {name}", "{name}의 녹화"],
  terminate: ["Terminate", "강제 종료"],
  terminateNamed: ["Terminate {name}", "{name} 강제 종료"],
  terminateTitle: ["Terminate this session?", "이 세션을 강제 종료할까요?"],
  terminateHint: [
    "{name}: its shell and the programs in it end at once.",
    "{name}: 셸과 그 안의 프로그램이 바로 종료됩니다.",
  ],
  terminatedNow: ["{name} is terminated.", "{name}이(가) 강제 종료되었습니다."],
  moreSessions: ["Show more", "더 보기"],
  sessionsBounded: [
    "The list holds the first {most} sessions: narrow the filters.",
    "목록에는 처음 {most}개만 표시됩니다. 필터를 좁히세요.",
  ],
  watchNamed: ["Watch {name}", "{name} 관찰"],
  watchTitle: ["Watching {name}", "{name} 관찰 중"],
  watchOf: ["Session of {owner} on {device}", "{device}에서 {owner}의 세션"],
  watchOpening: ["Connecting…", "연결 중…"],
  watchLive: ["live", "실시간"],
  watchReconnecting: ["reconnecting since {time}", "{time}부터 다시 연결 중"],
  watchOver: ["The session has ended: {why}", "세션이 종료되었습니다: {why}"],
  watchMissed: [
    "{bytes} byte[|s] [was|were] not shown; the screen was drawn anew.",
    "{bytes}바이트가 표시되지 않았습니다. 화면을 새로 그렸습니다.",
  ],
  watchedScreen: ["Screen of the session, read-only", "세션 화면 (읽기 전용)"],
  watchUnseen: ["Watch without telling the owner", "소유자에게 알리지 않고 관찰"],
  watchAgain: ["Watch again", "다시 관찰"],
  joinNamed: ["Join {name}", "{name} 참여"],
  messageNamed: ["Message to {name}", "{name}에 메시지"],
  messageTitle: ["Message to {name}", "{name}에 메시지 보내기"],
  messageText: ["Text for the user of the session", "세션 사용자에게 보낼 내용"],
  messageSend: ["Send", "보내기"],
  messageDelivered: ["The message was delivered.", "메시지가 전달되었습니다."],
  messageNotDelivered: [
    "The message was not delivered: no client is attached that shows messages.",
    "메시지가 전달되지 않았습니다. 메시지를 표시하는 클라이언트가 연결되어 있지 않습니다.",
  ],
  document: ["Document", "문서"],
  reason: ["Reason", "사유"],
  message: ["Message", "메시지"],
  filters: ["Filters", "필터"],
  deviceId: ["Device (id)", "장치 (ID)"],
  owner: ["Owner", "소유자"],
  started: ["Started", "시작"],
  session_Connected: ["Connected", "연결됨"],
  session_Connecting: ["Connecting", "연결 중"],
  session_Disconnected: ["Disconnected", "연결 끊김"],
  session_Terminated: ["Terminated", "종료됨"],
  session_Terminating: ["Terminating", "종료 중"],
  session_Failed: ["Failed", "실패"],
} as const satisfies Record<string, readonly [string, string]>;

export const t = textsOf(LIVE);

/** A state of the API in the user's language; one that has no text is shown as it is. */
export function stateWord(state: string): string {
  return t(`session_${state}` as keyof typeof LIVE) || state;
}
