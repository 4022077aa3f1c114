"""Users out of what people say of them: the service's own reading of claims, without a token (`--as`, policy tests)."""

from __future__ import annotations

from dataclasses import replace

from authz.authn.claims import user_of
from authz.authn.verified import VerifiedToken
from authz.model.issuer import IssuerSettings
from authz.model.principal import User
from authz.policy.casting import TOKEN_LIFETIME, token_claims
from authz.policy.suite import UserFixture


def verified_user(fixture: UserFixture, settings: IssuerSettings, now: float) -> User:
    """The user that a verified token of the issuer with such claims would make; raises `Misplaced`."""
    token = VerifiedToken(
        issuer=settings.name,
        claims=token_claims(fixture, settings, now),
        audiences=settings.audiences,
        expires_at=now + TOKEN_LIFETIME,
    )
    user = user_of(token, settings)
    return replace(user, kind=fixture.kind or user.kind, bound=fixture.bound or user.bound)
