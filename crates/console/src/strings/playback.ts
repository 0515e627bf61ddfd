// Texts of recordings and their search, in English and Korean.

export const PLAYBACK = {} as const satisfies Record<string, readonly [string, string]>;
