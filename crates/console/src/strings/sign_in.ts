// Texts of signing in, in English and Korean.

export const SIGN_IN = {
  signInWith: ["Sign in with {name}", "{name}(으)로 로그인"],
  orByKey: ["Or with an access key", "또는 액세스 키로"],
  temporaryCredentials: ["With temporary credentials", "임시 자격 증명으로 로그인"],
  sessionToken: ["Session token", "세션 토큰"],
  programTitle: ["Sign a program in", "프로그램 로그인"],
  programWarning: [
    "Go on only if you started `towline login --no-browser` yourself, just now. If somebody sent you " +
      "this code, reject the request: that person would get your rights.",
    "방금 직접 `towline login --no-browser`를 실행한 경우에만 계속하세요. 다른 사람이 코드를 보냈다면 " +
      "권한을 노리는 것이니 거부하세요.",
  ],
  programCode: ["Code that the program shows", "프로그램이 표시한 코드"],
  programLook: ["Show the request", "요청 보기"],
  programFrom: ["Asked from", "요청한 주소"],
  programCalls: ["Calls itself", "프로그램 이름 (자체 표시)"],
  programAge: ["Asked", "요청 시각"],
  programGets: ["Gets the rights of", "받게 될 권한"],
  programAgo: ["{seconds} seconds ago", "{seconds}초 전"],
  programElsewhere: [
    "This is not the address of this browser ({address}). Is it the machine on which you typed?",
    "이 브라우저의 주소({address})와 다릅니다. 직접 입력한 컴퓨터가 맞나요?",
  ],
  programApprove: ["Sign it in as me", "내 권한으로 로그인 허용"],
  programReject: ["Reject", "거부"],
  programApproved: [
    "The program is signed in. Go back to its terminal.",
    "프로그램이 로그인되었습니다. 터미널로 돌아가세요.",
  ],
  programRejected: ["The request was rejected.", "요청을 거부했습니다."],
} as const satisfies Record<string, readonly [string, string]>;
