"""Pages are tested without the built front end: their script tags then name the dev server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from django_vite.core.asset_loader import DjangoViteAssetLoader

from accounts.models import User
from tests.factories import PASSWORD, make_environment, make_user


@pytest.fixture(autouse=True)
def no_build(settings: pytest.FixtureRequest) -> Iterator[None]:
    settings.DJANGO_VITE = {"default": {"dev_mode": True}}  # type: ignore[attr-defined]
    kept = DjangoViteAssetLoader._instance
    DjangoViteAssetLoader._instance = None
    yield
    DjangoViteAssetLoader._instance = kept


@pytest.fixture
def anna(db: None) -> User:
    make_environment()
    return make_user("anna")


@pytest.fixture
def signed_in(client: Client) -> Callable[[User], Client]:
    def sign_in(user: User) -> Client:
        assert client.login(username=user.username, password=PASSWORD)
        return client

    return sign_in


@pytest.fixture
def anna_client(anna: User, signed_in: Callable[[User], Client]) -> Client:
    return signed_in(anna)
