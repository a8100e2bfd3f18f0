"""Addresses of signing in and of the account page."""

from django.urls import path

from accounts import views
from accounts.choosing import choose_password

urlpatterns = [
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("account/", views.account, name="account"),
    path("account/password/", views.change_password, name="change_password"),
    path("account/choose/<str:uidb64>/<str:token>/", choose_password, name="choose_password"),
    path("account/tokens/", views.create_token, name="create_token"),
    path("account/tokens/<slug:token>/revoke/", views.revoke_token, name="revoke_token"),
    path("account/theme/", views.theme, name="theme"),
]
