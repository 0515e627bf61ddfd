// Texts of signing in, in English and Korean.

export const SIGN_IN = {} as const satisfies Record<string, readonly [string, string]>;
