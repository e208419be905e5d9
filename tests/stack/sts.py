"""A small security token service for `cargo xtask stack`. Its endpoints have
the paths of Keycloak's, below an issuer that is the service's own address.

| grant | |
|---|---|
| client_credentials | for the `audience` that is asked for |
| token exchange (RFC 8693) | the same subject, for another audience |
| device code (RFC 8628) | granted at once, without a user |

Every client exists. Its secret is `<client id>-secret`; the client of the `arp-jarvis`
command line has none, and gets device codes only. Tokens are RS256 and valid for an
hour. `GET /counts` returns the number of requests by grant, client and audience.
"""

import base64
import threading
import time
import uuid
from collections import Counter
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

import serve

LIFETIME_SECONDS = 3600
PUBLIC_CLIENT = "arp-dev-cli"
# The subject of a device code.
USER = "a-user"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class Refused(Exception):
    """An error of RFC 6749, 5.2."""


class Sts:
    def __init__(self, issuer):
        self.issuer = issuer
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = uuid.uuid4().hex
        self.counts = Counter()
        self.lock = threading.Lock()

    def routes(self):
        oidc = "/protocol/openid-connect"
        return {
            ("GET", "/.well-known/openid-configuration"): self.discovery,
            ("GET", f"{oidc}/certs"): self.keys,
            ("POST", f"{oidc}/token"): self.token,
            ("POST", f"{oidc}/auth/device"): self.device,
            ("GET", "/counts"): self.count_requests,
        }

    def discovery(self, _):
        oidc = f"{self.issuer}/protocol/openid-connect"
        return 200, {
            "issuer": self.issuer,
            "jwks_uri": f"{oidc}/certs",
            "token_endpoint": f"{oidc}/token",
            "device_authorization_endpoint": f"{oidc}/auth/device",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self, _):
        public = self.key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid}
        return 200, {"keys": [key | {"n": number(public.n), "e": number(public.e)}]}

    def device(self, _):
        return 200, {
            "device_code": uuid.uuid4().hex,
            "user_code": "NOT-NEEDED",
            "verification_uri": self.issuer,
            "expires_in": 600,
            "interval": 1,
        }

    def count_requests(self, _):
        with self.lock:
            counted = [
                {"grant": grant, "client": client, "audience": audience, "count": count}
                for (grant, client, audience), count in sorted(self.counts.items())
            ]
        return 200, {"total": sum(entry["count"] for entry in counted), "requests": counted}

    def token(self, body):
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        grant, client, audience = (form.get(name, "") for name in ("grant_type", "client_id", "audience"))
        with self.lock:
            self.counts[grant.rsplit(":", 1)[-1], client, audience] += 1
        try:
            claims = self.claims(grant, client, form)
        except Refused as refused:
            error, description = refused.args
            return 401 if error == "invalid_client" else 400, {"error": error, "error_description": description}
        now = int(time.time())
        claims |= {"iss": self.issuer, "azp": client, "iat": now, "exp": now + LIFETIME_SECONDS}
        claims |= {"aud": audience or client, "jti": uuid.uuid4().hex}
        token = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid})
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS}
        return 200, answer | ({"issued_token_type": ACCESS_TOKEN} if grant == EXCHANGE else {})

    def claims(self, grant, client, form):
        """The subject claims of the token, if the client may have it."""
        if grant == DEVICE and client == PUBLIC_CLIENT:
            return {"sub": USER}
        if not client or form.get("client_secret") != f"{client}-secret":
            raise Refused("invalid_client", f"{client!r} with a wrong secret")
        if grant == "client_credentials":
            return {"sub": client}
        if grant == EXCHANGE:
            return {"sub": self.subject(form.get("subject_token", "")), "act": {"sub": client}}
        raise Refused("unsupported_grant_type", grant)

    def subject(self, token):
        try:
            options = {"verify_aud": False}
            return jwt.decode(token, self.key.public_key(), ["RS256"], options=options, issuer=self.issuer)["sub"]
        except jwt.PyJWTError as error:
            raise Refused("invalid_grant", f"subject_token: {error}") from error


def number(value):
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


if __name__ == "__main__":
    serve.main(lambda url: Sts(url).routes())
