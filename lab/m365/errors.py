# SPDX-License-Identifier: GPL-3.0-or-later
"""Entra's error answers. AADSTS is the table; every row is a fault as well (see faults.py)."""
from __future__ import annotations

import datetime
import uuid

# code: (HTTP status, error, text[, suberror])
AADSTS = {
    # the grant is gone
    50173: (400, "invalid_grant", "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
                                  "changed or reset their password.", "bad_token"),
    700082: (400, "invalid_grant", "The refresh token has expired due to inactivity. The token was issued on {issued} and was inactive for "
                                   "90.00:00:00.", "bad_token"),
    70008: (400, "invalid_grant", "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive "
                                  "authorization request for this user and resource.", "bad_token"),
    70043: (400, "invalid_grant", "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.",
            "bad_token"),
    70000: (400, "invalid_grant", "Provided grant is invalid or malformed."),
    54005: (400, "invalid_grant", "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing "
                                  "refresh token."),
    # policies
    530036: (400, "invalid_grant", "Access has been blocked by Conditional Access policies: the refresh token comes from a device code flow, "
                                   "which is not allowed any more."),
    53003: (400, "invalid_grant", "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."),
    530032: (400, "invalid_grant", "Access has been blocked by a Conditional Access policy that requires token protection."),
    530035: (400, "invalid_grant", "Access has been blocked by security defaults. The request is using legacy auth or is deemed unsafe."),
    50076: (400, "invalid_grant", "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
                                  "use multi-factor authentication to access '{resource}'.", "basic_action"),
    50079: (400, "invalid_grant", "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
                                  "enroll in multi-factor authentication to access '{resource}'.", "basic_action"),
    50072: (400, "invalid_grant", "User needs to enroll for second factor authentication (interactive).", "basic_action"),
    50074: (400, "invalid_grant", "Strong Authentication is required.", "basic_action"),
    50078: (400, "invalid_grant", "Presented multi-factor authentication has expired due to policies configured by your administrator, you "
                                  "must refresh your multi-factor authentication to access '{resource}'.", "basic_action"),
    53000: (400, "invalid_grant", "Device is not in required device state: non-compliant. Conditional Access policy requires a compliant "
                                  "device."),
    53001: (400, "invalid_grant", "Device is not in required device state: unknown. Conditional Access policy requires a domain joined "
                                  "device."),
    50097: (400, "invalid_grant", "Device authentication is required."),
    # consent and permissions
    65001: (400, "invalid_grant", "The user or administrator has not consented to use the application with ID '{client}' named 'Mail relay'. "
                                  "Send an interactive authorization request for this user and resource.", "consent_required"),
    90094: (400, "access_denied", "An administrator of {tenant} has set a policy that prevents you from granting the application Mail relay "
                                  "the permissions it is requesting."),
    65004: (400, "access_denied", "User declined to consent to access the app."),
    650057: (400, "invalid_resource", "Invalid resource. The client has requested access to a resource which is not listed in the requested "
                                      "permissions in the client's application registration. Client app ID: {client}(Mail relay)."),
    65005: (400, "invalid_resource", "The client application has requested access to resource '{resource}'. This request has failed because "
                                     "the client has not specified this resource in its requiredResourceAccess list."),
    70011: (400, "invalid_scope", "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
                                  "'scope' is not valid. The scope {scope} is not valid."),
    28002: (400, "invalid_scope", "Provided value for the input parameter scope '{scope}' is not valid when requesting an access token. "
                                  "Please specify a valid scope."),
    # the app
    7000218: (401, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
    700025: (401, "invalid_client", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
    7000215: (401, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
                                     "not the client secret ID, for a secret added to app '{client}'."),
    7000222: (401, "invalid_client", "The provided client secret keys for app '{client}' are expired."),
    700016: (400, "unauthorized_client", "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if "
                                         "the application has not been installed by the administrator of the tenant or consented to by any "
                                         "user in the tenant."),
    700011: (400, "unauthorized_client", "Application with identifier {client} was not found in the directory."),
    90099: (400, "invalid_request", "The application '{client}' (Mail relay) has not been authorized in the tenant '{tenant}'."),
    70001: (400, "unauthorized_client", "Application with identifier '{client}' is disabled."),
    7000112: (400, "unauthorized_client", "Application '{client}'(Mail relay) is disabled."),
    700027: (401, "invalid_client", "The certificate with identifier used to sign the client assertion is not registered on application."),
    50012: (401, "invalid_client", "Client assertion contains an invalid signature."),
    700030: (401, "invalid_client", "Invalid certificate - subject name in certificate is not authorized."),
    # the tenant
    90002: (400, "invalid_tenant", "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
                                   "correct cloud."),
    900023: (400, "invalid_request", "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."),
    90038: (400, "invalid_request", "Tenant '{tenant}' request is being redirected to the National Cloud 'MicrosoftOnline.US'."),
    50194: (400, "invalid_request", "Application '{client}'(Mail relay) is not configured as a multi-tenant application. Usage of the /common "
                                    "endpoint is not supported for such apps. Use a tenant-specific endpoint."),
    9002332: (400, "invalid_request", "Application '{client}'(Mail relay) is configured for use by Microsoft Entra ID users only. Please do not "
                                      "use the /consumers endpoint to serve this request."),
    90130: (400, "invalid_request", "Application '{client}' (Mail relay) is not supported over the /common or /consumers endpoints."),
    9001023: (400, "invalid_request", "The grant type is not supported over the /common or /consumers endpoints. Please use the "
                                      "/organizations or tenant-specific endpoint."),
    # the person
    50034: (400, "invalid_grant", "The user account {account} does not exist in the {tenant} directory."),
    50020: (400, "invalid_grant", "User account '{account}' from identity provider 'live.com' does not exist in tenant '{tenant}' and cannot "
                                  "access the application '{client}'(Mail relay) in that tenant."),
    16000: (400, "interaction_required", "User account '{account}' from identity provider 'live.com' does not exist in tenant '{tenant}' and "
                                         "cannot access the application '{client}'(Mail relay) in that tenant."),
    500208: (400, "invalid_grant", "The domain is not a valid login domain for the account type."),
    50057: (400, "invalid_grant", "The user account is disabled."),
    50053: (400, "invalid_grant", "The account is locked, you've tried to sign in too many times with an incorrect user ID or password."),
    50055: (400, "invalid_grant", "The password is expired."),
    50126: (400, "invalid_grant", "Error validating credentials due to invalid username or password."),
    50105: (400, "invalid_grant", "Your administrator has configured the application Mail relay ('{client}') to block users unless they are "
                                  "specifically granted ('assigned') access to the application."),
    50196: (400, "invalid_grant", "The server terminated an operation because it encountered a client request loop."),
    # the device code
    70016: (400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."),
    70018: (400, "bad_verification_code", "Invalid verification code: the device_code is not known."),
    70019: (400, "expired_token", "Verification code expired. Have the user retry the sign-in."),
    90119: (400, "invalid_request", "The user code is empty."),
    90120: (400, "invalid_request", "The user code has already been authorized or declined."),
    50134: (400, "invalid_grant", "Wrong data center. The authorizing party must be in the data center where the device flow began."),
    # for a moment
    50033: (400, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    90006: (503, "temporarily_unavailable", "The service is temporarily unavailable. Please retry later."),
    90024: (503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    90033: (503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    90055: (429, "temporarily_unavailable", "There are too many incoming requests. Please try again later."),
    90012: (400, "temporarily_unavailable", "The request has timed out. Please try again."),
    # the request itself
    900144: (400, "invalid_request", "The request body must contain the following parameter: '{parameter}'."),
    70003: (400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant}'."),
    50049: (400, "invalid_instance", "Unknown or invalid instance."),
}

TEXTS = {"client": "(client)", "tenant": "(tenant)", "scope": "(scope)", "resource": "00000002-0000-0ff1-ce00-000000000000",
         "account": "(account)", "issued": "2026-01-01T00:00:00.0000000Z", "parameter": "(parameter)", "grant": "(grant)"}


class EntraError(Exception):
    """Raised where the answer is one of the table; `error` and `text` where Entra says the same number in other words."""

    def __init__(self, code: int, error: str = "", text: str = "", **words: str):
        super().__init__(code)
        self.code, self.words = code, words
        self.status, default_error, default_text, *suberror = AADSTS[code]
        self.error = error or default_error
        self.text = text or default_text
        self.suberror = suberror[0] if suberror else ""

    def body(self, correlation_id: str = "") -> dict:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        trace, correlation = str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
        text = self.text.format_map(TEXTS | {name: word for name, word in self.words.items() if word})
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}",
            "error_codes": [self.code],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
            **({"suberror": self.suberror} if self.suberror else {}),
        }
