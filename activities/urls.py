from django.urls import path

from activities.pages import acting, calendar, composer, feeds, today

app_name = "activities"
urlpatterns = [
    path("", today.TodayPage.as_view(), name="today"),
    path("leads/<int:pk>/activities", composer.LogPage.as_view(), name="log"),
    path("activities/people", composer.PeoplePage.as_view(), name="people"),
    path("activities/<int:pk>", acting.ActivityPage.as_view(), name="activity"),
    path("activities/<int:pk>/move", calendar.MovePage.as_view(), name="move"),
    path("calendar", calendar.CalendarPage.as_view(), name="calendar"),
    path("calendar/feed/<str:token>.ics", feeds.FeedView.as_view(), name="feed-ics"),
    path("settings/calendar", feeds.FeedPage.as_view(), name="feed"),
    path("activities/<int:pk>/done", acting.DonePage.as_view(), name="done"),
    path("activities/<int:pk>/cancel", acting.CancelPage.as_view(), name="cancel"),
    path("activities/<int:pk>/put-off", acting.PutOffPage.as_view(), name="put-off"),
    path("activities/<int:pk>/snooze", acting.SnoozePage.as_view(), name="snooze"),
    path("activities/<int:pk>/reopen", acting.ReopenPage.as_view(), name="reopen"),
]
