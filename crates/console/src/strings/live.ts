// Texts of live sessions and the terminal, in English and Korean.

export const LIVE = {} as const satisfies Record<string, readonly [string, string]>;
