// Texts of devices, enrollment, Run Command and files, in English and Korean.

export const FLEET = {} as const satisfies Record<string, readonly [string, string]>;
