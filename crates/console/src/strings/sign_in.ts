// Texts of links that sign in, of second factors, and of programs that sign in, in English and
// Korean.

import { textsOf } from "../strings.ts";

export const SIGN_IN = {
  linkTitle: ["Sign in by a link", "링크로 로그인"],
  linkWarning: [
    "This link was made on the server of {host}. It signs in once.",
    "이 링크는 {host} 서버에서 만들어졌으며 한 번만 로그인할 수 있습니다.",
  ],
  linkSignIn: ["Sign in as {user}", "{user}(으)로 로그인"],
  linkOther: ["Sign in another way", "다른 방법으로 로그인"],
  factorProved: ["The second factor is proved.", "2단계 인증을 확인했습니다."],
  factorIsProved: [
    "A second factor was proved for this sign-in.",
    "이 로그인에서 2단계 인증을 확인했습니다.",
  ],
  factorIsNotProved: [
    "No second factor was proved for this sign-in.",
    "이 로그인에서는 2단계 인증을 확인하지 않았습니다.",
  ],
  factorAtProvider: [
    "Your second factor is at your identity provider.",
    "2단계 인증은 ID 공급자에서 관리합니다.",
  ],
  factorThere: ["One-time codes are enabled.", "일회용 코드를 사용하고 있습니다."],
  factorNone: ["You have no one-time codes.", "일회용 코드가 없습니다."],
  factorCreate: ["Create one-time codes", "일회용 코드 만들기"],
  factorScan: [
    "Scan the code with an authenticator, or type the secret. Then enter the code that it shows.",
    "인증 앱으로 QR 코드를 스캔하거나 비밀 키를 입력한 다음, 표시된 코드를 입력하세요.",
  ],
  factorQr: ["QR code for an authenticator", "인증 앱용 QR 코드"],
  factorSecret: ["Secret:", "비밀 키:"],
  factorEnable: ["Enable", "사용"],
  factorEnabled: ["One-time codes are enabled.", "일회용 코드를 사용하도록 설정했습니다."],
  factorRemove: ["Remove", "삭제"],
  factorRemoved: ["One-time codes were removed.", "일회용 코드를 삭제했습니다."],
  programWarning: [
    "Go on only if you started `towline login --no-browser` yourself, just now. If somebody sent you " +
      "this code, reject the request: that person would get your rights.",
    "방금 직접 `towline login --no-browser`를 실행한 경우에만 계속하세요. 다른 사람이 코드를 보냈다면 " +
      "권한을 노리는 것이니 거부하세요.",
  ],
  programCode: ["Code that the program shows", "프로그램이 표시한 코드"],
  programLook: ["Show the request", "요청 보기"],
  programFrom: ["Address", "요청한 주소"],
  programCalls: ["Name that it gives itself", "프로그램 이름 (자체 표시)"],
  programAge: ["Asked", "요청 시각"],
  programGets: ["Gets the rights of", "받게 될 권한"],
  programAgo: ["{seconds} second[|s] ago", "{seconds}초 전"],
  programElsewhere: [
    "This is not the address of this browser ({address}). Is it where you started the program?",
    "이 브라우저의 주소({address})와 다릅니다. 프로그램을 실행한 컴퓨터가 맞나요?",
  ],
  programApprove: ["Sign it in as me", "내 권한으로 로그인 허용"],
  programReject: ["Reject", "거부"],
  programApproved: [
    "The program is signed in. Go back to its terminal.",
    "프로그램이 로그인되었습니다. 터미널로 돌아가세요.",
  ],
  programRejected: ["The request was rejected.", "요청을 거부했습니다."],
} as const satisfies Record<string, readonly [string, string]>;

export const t = textsOf(SIGN_IN);
