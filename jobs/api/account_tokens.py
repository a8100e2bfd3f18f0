"""For administrators: the tokens of others."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import tokens
from accounts.models import ApiToken
from jobs.api.base import existing
from jobs.api.manage import ManageView
from jobs.api.serializers import TokenSerializer


class AccountTokens(ListAPIView[ApiToken], ManageView):
    serializer_class = TokenSerializer

    def get_queryset(self) -> QuerySet[ApiToken]:
        return self.person(self.kwargs["username"]).api_tokens.all()

    @extend_schema(operation_id="list_account_tokens")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Administrators: the tokens of a person, without their text."""
        return super().get(request, *args, **kwargs)


class AccountToken(ManageView):
    @extend_schema(operation_id="revoke_account_token", request=None, responses={204: None})
    def delete(self, request: Request, username: str, token: str) -> Response:
        """Administrators: revoke a token of a person: from now on it is worth nothing."""
        theirs = self.person(username).api_tokens.select_related("user")
        tokens.revoke(existing(theirs, token), actor=self.user)
        return Response(status=HTTPStatus.NO_CONTENT)
