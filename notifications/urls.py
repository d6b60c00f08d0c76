from django.urls import path

from notifications import pages

app_name = "notifications"
urlpatterns = [
    path("notifications", pages.NotificationsPage.as_view(), name="list"),
    path("notifications/bell", pages.BellPage.as_view(), name="bell"),
    path("notifications/read", pages.ReadAllPage.as_view(), name="read-all"),
    path("notifications/<int:pk>/open", pages.OpenPage.as_view(), name="open"),
    path("settings/notifications", pages.WishesPage.as_view(), name="preferences"),
    path("unsubscribe/<str:token>", pages.UnsubscribePage.as_view(), name="unsubscribe"),
]
