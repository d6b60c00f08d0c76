from django.urls import path

from duplicates.pages import auto_merge, merge, queue, settings

app_name = "duplicates"
urlpatterns = [
    path("duplicates", queue.QueuePage.as_view(), name="queue"),
    path("duplicates/decide", queue.DecidePage.as_view(), name="decide"),
    path("duplicates/scan", queue.ScanPage.as_view(), name="scan"),
    path("duplicates/auto-merge", auto_merge.AutoMergePage.as_view(), name="auto-merge"),
    path("duplicates/merge", merge.MergePage.as_view(), name="merge"),
    path("duplicates/merges/<int:pk>/undo", merge.UnmergePage.as_view(), name="unmerge"),
    path("duplicates/<int:pk>", queue.GroupPage.as_view(), name="group"),
    path("settings/duplicates", settings.DuplicateSettingsPage.as_view(), name="settings"),
]
