// Pages of administration that are loaded together: each alone is smaller than what its request
// costs.

export { AccessPage } from "./access_page.tsx";
export { AuditPage } from "./audit_page.tsx";
export { HealthPage } from "./health_page.tsx";
