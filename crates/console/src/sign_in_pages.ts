// Pages of signing in beside the form, loaded together: each alone is smaller than what its request
// costs.

export { LinkPage } from "./link_page.tsx";
export { SignInRequestPage } from "./sign_in_request_page.tsx";
