from django.urls import include, path

from leads.pages import bulk, conditions, detail, exports, forms, imports, listing, sources, today

app_name = "leads"
urlpatterns = [
    path("", today.TodayPage.as_view(), name="today"),
    path("leads", listing.LeadListPage.as_view(), name="list"),
    path("leads/count", listing.LeadCountPage.as_view(), name="count"),
    path("leads/new", forms.NewLeadPage.as_view(), name="new"),
    path("leads/export", exports.ExportPage.as_view(), name="export"),
    path("leads/exports/<int:pk>/download", exports.ExportFilePage.as_view(), name="export-file"),
    path("leads/import", imports.UploadPage.as_view(), name="import"),
    path("leads/import/<int:pk>/map", imports.MapPage.as_view(), name="import-map"),
    path("leads/import/<int:pk>/options", imports.OptionsPage.as_view(), name="import-options"),
    path("leads/import/<int:pk>/check", imports.CheckPage.as_view(), name="import-check"),
    path("leads/import/<int:pk>/rows/<int:row>", imports.RowPage.as_view(), name="import-row"),
    path("leads/import/<int:pk>/run", imports.RunPage.as_view(), name="import-run"),
    path("leads/import/<int:pk>/discard", imports.DiscardPage.as_view(), name="import-discard"),
    path("leads/filter", conditions.ConditionsPage.as_view(), name="conditions"),
    path("leads/bulk/edit", bulk.BulkEditPage.as_view(), name="bulk-edit"),
    path("leads/bulk/delete", bulk.BulkDeletePage.as_view(), name="bulk-delete"),
    path("leads/bulk/export", bulk.BulkExportPage.as_view(), name="bulk-export"),
    path("leads/bin", forms.BinPage.as_view(), name="bin"),
    path("leads/<int:pk>", detail.LeadPage.as_view(), name="detail"),
    path("leads/<int:pk>/peek", detail.PeekPage.as_view(), name="peek"),
    path("leads/<int:pk>/edit", forms.EditLeadPage.as_view(), name="edit"),
    path("leads/<int:pk>/move", detail.MovePage.as_view(), name="move"),
    path("leads/<int:pk>/follow-up", detail.FollowUpPage.as_view(), name="follow-up"),
    path("leads/<int:pk>/delete", detail.DeletePage.as_view(), name="delete"),
    path("leads/<int:pk>/restore", forms.RestorePage.as_view(), name="restore"),
    path("leads/<int:pk>/fields/<slug:name>", detail.FieldPage.as_view(), name="field"),
    path("settings/sources", sources.SourcesPage.as_view(), name="sources"),
    path("settings/sources/new", sources.SourcePage.as_view(), name="source-new"),
    path("settings/sources/<int:pk>", sources.SourcePage.as_view(), name="source"),
    path("settings/sources/<int:pk>/action", sources.SourceActionPage.as_view(), name="source-action"),
    path("", include("customobjects.urls")),
]
