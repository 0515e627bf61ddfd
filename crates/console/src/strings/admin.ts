// Texts of audit, policies, access requests and health, in English and Korean.

export const ADMIN = {} as const satisfies Record<string, readonly [string, string]>;
