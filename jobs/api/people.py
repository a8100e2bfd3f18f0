"""Who am I, and the tokens of my scripts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import tokens
from accounts.models import ApiToken, Scope
from jobs.api.base import ApiView, existing, needs
from jobs.api.serializers import (
    MeSerializer,
    NewTokenSerializer,
    TokenRequestSerializer,
    TokenSerializer,
)


class Me(ApiView):
    @extend_schema(operation_id="me", responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Who the request comes from."""
        return Response(MeSerializer(self.user).data)


class Tokens(ListAPIView[ApiToken], ApiView):
    serializer_class = TokenSerializer
    scopes = needs(POST=Scope.MANAGE)

    def get_queryset(self) -> Any:
        return self.user.api_tokens.all()

    @extend_schema(operation_id="list_tokens")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """My tokens, without their text."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_token",
        request=TokenRequestSerializer,
        responses={201: NewTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a token. Its text is in this answer and nowhere else. A token can make one, too, which
        may do no more than itself and lasts no longer."""
        asked = TokenRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        by = request.auth if isinstance(request.auth, ApiToken) else None
        token, text = tokens.make(user=self.user, by=by, **asked.validated_data)
        return Response({**TokenSerializer(token).data, "token": text}, status=HTTPStatus.CREATED)


class Token(ApiView):
    scopes = needs(DELETE=Scope.MANAGE)

    @extend_schema(operation_id="revoke_token", request=None, responses={204: None})
    def delete(self, request: Request, token: str) -> Response:
        """Revoke a token: from now on it is worth nothing."""
        tokens.revoke(existing(self.user.api_tokens.all(), token), actor=self.user)
        return Response(status=HTTPStatus.NO_CONTENT)
