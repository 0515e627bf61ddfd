// Texts of signing in, in English and Korean.

export const SIGN_IN = {
  signInWith: ["Sign in with {name}", "{name}(으)로 로그인"],
  orByKey: ["Or with an access key", "또는 액세스 키로"],
  temporaryCredentials: ["With temporary credentials", "임시 자격 증명으로 로그인"],
  sessionToken: ["Session token", "세션 토큰"],
} as const satisfies Record<string, readonly [string, string]>;
