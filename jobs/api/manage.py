"""For administrators: people, limits, announcements, the audit log."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit_search import AuditFilter
from accounts.models import AuditEntry, Scope, User
from jobs.api.base import ApiView, needs
from jobs.api.cluster import IsAdministrator
from jobs.api.fields import moment_in
from jobs.api.manage_fields import (
    AccountChangeSerializer,
    AccountDetailSerializer,
    AccountSerializer,
    AnnouncementSerializer,
    AuditSerializer,
    HandedOverSerializer,
    HandOverSerializer,
    LimitsAnswerSerializer,
    LimitsSerializer,
    LinkSerializer,
    NewAccountSerializer,
    NewAnnouncementSerializer,
    SiteChangeSerializer,
    SiteSerializer,
)
from jobs.models import Announcement, Site, UserLimits
from jobs.services import Refused, announcements, change_site, limits, people
from jobs.services.limits import NOTHING


class ManageView(ApiView):
    """Administrators only; a token needs the widest scope, for looking too."""

    permission_classes = (IsAuthenticated, IsAdministrator)
    scopes = needs(
        GET=Scope.MANAGE,
        POST=Scope.MANAGE,
        PUT=Scope.MANAGE,
        PATCH=Scope.MANAGE,
        DELETE=Scope.MANAGE,
    )

    def person(self, username: str) -> User:
        if "\0" in username or len(username) > 150:
            raise Http404
        found = people.people().filter(username=username).first()
        if found is None:
            raise Http404
        return found


class Accounts(ListAPIView[User], ManageView):
    serializer_class = AccountSerializer

    def get_queryset(self) -> QuerySet[User]:
        wanted = self.request.query_params.get("q", "")
        if "\0" in wanted:
            raise ValidationError({"q": ["It contains a NUL character: remove it."]})
        rows = people.people().order_by("-id")
        return rows.filter(username__icontains=wanted) if wanted else rows

    @extend_schema(
        operation_id="list_accounts",
        parameters=[OpenApiParameter("q", str, description="A part of the user name.")],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Administrators: everybody who has an account, the newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_account",
        request=NewAccountSerializer,
        responses={201: AccountSerializer},
    )
    def post(self, request: Request) -> Response:
        """Administrators: add a person, without a password; ask for a link that lets them choose one."""
        asked = NewAccountSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        added = people.add_person(
            by=self.user,
            username=given["username"],
            email=given.get("email", ""),
            staff=given.get("is_staff", False),
        )
        return Response(AccountSerializer(added).data, status=HTTPStatus.CREATED)


class OneAccount(ManageView):
    @extend_schema(operation_id="account", responses=AccountDetailSerializer)
    def get(self, request: Request, username: str) -> Response:
        """Administrators: one person, with what they use now and what they may."""
        return Response(self._detail(self.person(username)))

    @extend_schema(
        operation_id="change_account",
        request=AccountChangeSerializer,
        responses=AccountDetailSerializer,
    )
    @transaction.atomic
    def patch(self, request: Request, username: str) -> Response:
        """Administrators: switch a person off or on, make them an administrator or an ordinary person,
        change their mail address. Nobody can do the first two to themselves."""
        found = self.person(username)
        asked = AccountChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        if given.get("cancel_runs") and given.get("is_active", True):
            raise Refused("It goes with is_active false only.", field="cancel_runs")
        if "email" in given:
            people.set_email(by=self.user, person=found, email=given["email"])
        if "is_staff" in given:
            people.set_staff(by=self.user, person=found, staff=given["is_staff"])
        if given.get("is_active") is True:
            people.switch_on(by=self.user, person=found)
        elif given.get("is_active") is False:
            cancel = given.get("cancel_runs", False)
            people.switch_off(by=self.user, person=found, cancel_runs=cancel)
        return Response(self._detail(found))

    @extend_schema(operation_id="delete_account", request=None, responses={204: None})
    def delete(self, request: Request, username: str) -> Response:
        """Administrators: delete an account. Refused (400) while its person owns a Task or a Dataset,
        the bin included, or has Runs under way: hand them over first."""
        people.delete_person(by=self.user, person=self.person(username))
        return Response(status=HTTPStatus.NO_CONTENT)

    @staticmethod
    def _detail(person: User) -> dict[str, Any]:
        use = limits.present_use([person.pk]).get(person.pk, NOTHING)
        return AccountDetailSerializer(
            {
                "username": person.username,
                "email": person.email,
                "is_active": person.is_active,
                "is_staff": person.is_staff,
                "date_joined": person.date_joined,
                "last_login": person.last_login,
                "use": use,
                "limits": UserLimits.of(person),
            }
        ).data


class PasswordLink(ManageView):
    bodiless = ("POST",)

    @extend_schema(operation_id="create_password_link", request=None, responses=LinkSerializer)
    def post(self, request: Request, username: str) -> Response:
        """Administrators: a link with which the person chooses a password, once. The present one is
        worth nothing from now on, and their sessions end; their tokens go on."""
        path = people.password_link(by=self.user, person=self.person(username))
        expires = timezone.now() + people.link_lasts()
        link = {"link": request.build_absolute_uri(path), "expires_at": expires}
        return Response(LinkSerializer(link).data)


class HandOver(ManageView):
    @extend_schema(
        operation_id="hand_over_account", request=HandOverSerializer, responses=HandedOverSerializer
    )
    def post(self, request: Request, username: str) -> Response:
        """Administrators: give all Tasks (the bin's too) and Datasets of a person to another."""
        found = self.person(username)
        asked = HandOverSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        to = people.people().filter(username=asked.validated_data["to"]).first()
        if to is None:
            raise Refused("There is nobody of that name.", field="to")
        tasks, datasets = people.hand_over(by=self.user, person=found, to=to)
        return Response({"tasks": tasks, "datasets": datasets})


class LimitsView(ManageView):
    """Of the person in the address, or of everybody."""

    def whose(self) -> User | None:
        return self.person(self.kwargs["username"]) if "username" in self.kwargs else None

    def answer(self, person: User | None) -> Response:
        held = UserLimits.of(person) if person else limits.own_limits(None) or UserLimits()
        return Response(LimitsAnswerSerializer(held).data)

    def put_limits(self, request: Request) -> Response:
        person = self.whose()
        asked = LimitsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        limits.set_limits(by=self.user, person=person, limits=asked.validated_data)
        return self.answer(person)

    def clear(self) -> Response:
        limits.clear_limits(by=self.user, person=self.whose())
        return Response(status=HTTPStatus.NO_CONTENT)


class AccountLimits(LimitsView):
    @extend_schema(operation_id="account_limits", responses=LimitsAnswerSerializer)
    def get(self, request: Request, username: str) -> Response:
        """Administrators: what holds for a person."""
        return self.answer(self.whose())

    @extend_schema(
        operation_id="set_account_limits",
        request=LimitsSerializer,
        responses=LimitsAnswerSerializer,
    )
    def put(self, request: Request, username: str) -> Response:
        """Administrators: give a person limits of their own, or change them. What runs goes on."""
        return self.put_limits(request)

    @extend_schema(operation_id="clear_account_limits", request=None, responses={204: None})
    def delete(self, request: Request, username: str) -> Response:
        """Administrators: everybody's limits hold for the person again. Safe to repeat."""
        return self.clear()


class UsualLimits(LimitsView):
    @extend_schema(operation_id="usual_limits", responses=LimitsAnswerSerializer)
    def get(self, request: Request) -> Response:
        """Administrators: what holds for everybody without limits of their own."""
        return self.answer(None)

    @extend_schema(
        operation_id="set_usual_limits", request=LimitsSerializer, responses=LimitsAnswerSerializer
    )
    def put(self, request: Request) -> Response:
        """Administrators: change what holds for everybody without limits of their own."""
        return self.put_limits(request)

    @extend_schema(operation_id="clear_usual_limits", request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Administrators: no limits but the people's own. Safe to repeat."""
        return self.clear()


class Announcements(ListAPIView[Announcement], ManageView):
    serializer_class = AnnouncementSerializer

    def get_queryset(self) -> QuerySet[Announcement]:
        return Announcement.objects.select_related("created_by")

    @extend_schema(operation_id="list_announcements")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Administrators: all announcements, those that are over too, the newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_announcement",
        request=NewAnnouncementSerializer,
        responses={201: AnnouncementSerializer},
    )
    def post(self, request: Request) -> Response:
        """Administrators: put a sentence across the top of every page, now or later."""
        asked = NewAnnouncementSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        made = announcements.announce(by=self.user, **asked.validated_data)
        return Response(AnnouncementSerializer(made).data, status=HTTPStatus.CREATED)


class OneAnnouncement(ManageView):
    def announcement(self, key: int) -> Announcement:
        found = Announcement.objects.filter(pk=min(key, 2**62)).select_related("created_by").first()
        if found is None:
            raise Http404
        return found

    @extend_schema(
        operation_id="change_announcement",
        request=NewAnnouncementSerializer,
        responses=AnnouncementSerializer,
    )
    def patch(self, request: Request, announcement: int) -> Response:
        """Administrators: change its text or its times. What is left out stays."""
        found = self.announcement(announcement)
        asked = NewAnnouncementSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        names = ("text", "is_warning", "shown_from", "shown_until")
        changes = {name: given.get(name, getattr(found, name)) for name in names}
        changed = announcements.change(by=self.user, announcement=found, **changes)
        return Response(AnnouncementSerializer(changed).data)

    @extend_schema(operation_id="end_announcement", request=None, responses={204: None})
    def delete(self, request: Request, announcement: int) -> Response:
        """Administrators: no page shows it any more. It stays in the list. Safe to repeat."""
        announcements.end(by=self.user, announcement=self.announcement(announcement))
        return Response(status=HTTPStatus.NO_CONTENT)


class SiteSettings(ManageView):
    @extend_schema(operation_id="site_settings", responses=SiteSerializer)
    def get(self, request: Request) -> Response:
        """Administrators: what is chosen for the whole portal, and how full its storage is."""
        return Response(SiteSerializer(Site.load()).data)

    @extend_schema(
        operation_id="change_site_settings",
        request=SiteChangeSerializer,
        responses=SiteSerializer,
    )
    def patch(self, request: Request) -> Response:
        """Administrators: change what is given. Tasks that are there stay as they are."""
        asked = SiteChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if "publishes_by_default" in asked.validated_data:
            publishes = asked.validated_data["publishes_by_default"]
            change_site(by=self.user, publishes_by_default=publishes)
        return Response(SiteSerializer(Site.load()).data)


def _query(name: str, description: str, kind: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=description)


AUDIT_QUERY = [
    _query("person", "User name of who did it."),
    _query("action", "task.shared, or task for all that begin so."),
    _query("subject", "A part of the name of what it concerns, or its id."),
    _query("since", "Not before this moment.", OpenApiTypes.DATETIME),
    _query("until", "Before this moment.", OpenApiTypes.DATETIME),
]


class AuditView(ManageView):
    def rows(self) -> QuerySet[AuditEntry]:
        """What the address asks for, the newest first."""
        query = self.request.query_params
        return AuditFilter(
            person=query.get("person", ""),
            action=query.get("action", ""),
            subject=query.get("subject", ""),
            since=_moment(query, "since"),
            until=_moment(query, "until"),
        ).rows()


class Audit(ListAPIView[AuditEntry], AuditView):
    serializer_class = AuditSerializer

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return self.rows()

    @extend_schema(operation_id="list_audit_entries", parameters=AUDIT_QUERY)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Administrators: who did what, the newest first."""
        return super().get(request, *args, **kwargs)


def _moment(query: Any, name: str) -> Any:
    text = query.get(name)
    return None if text is None else moment_in(text, name)
