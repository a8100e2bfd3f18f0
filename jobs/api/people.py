"""Who am I, and the tokens of my scripts."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ApiToken
from jobs.api.base import ApiView, existing
from jobs.api.serializers import (
    MeSerializer,
    NewTokenSerializer,
    TokenRequestSerializer,
    TokenSerializer,
)
from jobs.services import Refused


class Me(ApiView):
    @extend_schema(operation_id="me", responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Who the request comes from."""
        return Response(MeSerializer(self.user).data)


class Tokens(ListAPIView[ApiToken], ApiView):
    serializer_class = TokenSerializer

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
        """Make a token. Its text is in this answer and nowhere else."""
        asked = TokenRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        name = asked.validated_data["name"]
        try:
            with transaction.atomic():
                token, text = ApiToken.issue(
                    user=self.user, name=name, expires_at=self._end(asked.validated_data)
                )
        except IntegrityError:
            raise Refused(f"You have a token named {name} already.", field="name") from None
        return Response({**TokenSerializer(token).data, "token": text}, status=HTTPStatus.CREATED)

    def _end(self, asked: dict[str, Any]) -> datetime:
        wanted: datetime = asked.get("expires_at") or timezone.now() + ApiToken.LIFETIME
        if not isinstance(self.request.auth, ApiToken):
            return wanted
        # Else a token that leaked could keep itself alive for ever.
        longest = self.request.auth.expires_at
        if "expires_at" in asked and wanted > longest:
            raise Refused(
                "A token can't make one that outlives it: sign in to make it.", field="expires_at"
            )
        return min(wanted, longest)


class Token(ApiView):
    @extend_schema(operation_id="revoke_token", request=None, responses={204: None})
    def delete(self, request: Request, token: str) -> Response:
        """Revoke a token: from now on it is worth nothing."""
        existing(self.user.api_tokens.all(), token).delete()
        return Response(status=HTTPStatus.NO_CONTENT)
