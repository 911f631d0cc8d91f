"""Every address under /api/v1/."""

from django.urls import path, re_path

from exchange.api import (
    agencies,
    deliveries,
    events,
    exports,
    log,
    packages,
    problems,
    schema,
    statistics,
    witness,
)

urlpatterns = [
    path("packages", packages.PackagesView.as_view(), name="api-packages"),
    path("packages/validate", packages.ValidateView.as_view(), name="api-validate"),
    path("packages/<uuid:package_id>", packages.PackageView.as_view(), name="api-package"),
    path("packages/<uuid:package_id>/content", packages.PackageContentView.as_view(), name="api-content"),
    path("packages/<uuid:package_id>/trail", packages.TrailView.as_view(), name="api-trail"),
    path("packages/<uuid:package_id>/receipts", packages.ReceiptsView.as_view(), name="api-receipts"),
    path("packages/<uuid:package_id>/statements", packages.StatementsView.as_view(), name="api-statements"),
    path("packages/<uuid:package_id>/proof", exports.ProofView.as_view(), name="api-proof"),
    path("exports", exports.ExportsView.as_view(), name="api-exports"),
    path("exports/<uuid:export_id>", exports.ExportView.as_view(), name="api-export"),
    path("exports/<uuid:export_id>/content", exports.ExportContentView.as_view(), name="api-export-content"),
    path("inbox", deliveries.InboxView.as_view(), name="api-inbox"),
    path("deliveries/ack", deliveries.AckAllView.as_view(), name="api-ack-all"),
    path("deliveries/<uuid:delivery_id>", deliveries.DeliveryView.as_view(), name="api-delivery"),
    path(
        "deliveries/<uuid:delivery_id>/content",
        deliveries.DeliveryContentView.as_view(),
        name="api-delivery-content",
    ),
    path("deliveries/<uuid:delivery_id>/ack", deliveries.AckView.as_view(), name="api-ack"),
    path("deliveries/<uuid:delivery_id>/status", deliveries.StatusView.as_view(), name="api-status"),
    path("events", events.EventsView.as_view(), name="api-events"),
    path("statistics", statistics.StatisticsView.as_view(), name="api-statistics"),
    path("agencies", agencies.AgenciesView.as_view(), name="api-agencies"),
    path("agencies/<str:code>", agencies.AgencyView.as_view(), name="api-agency"),
    path("logs", log.LogsView.as_view(), name="api-logs"),
    path("logs/<int:number>/checkpoint", log.OldCheckpointView.as_view(), name="api-checkpoint-of"),
    path("logs/<int:number>/consistency", log.OldConsistencyView.as_view(), name="api-consistency-of"),
    path("logs/<int:number>/<path:place>", log.OldTileView.as_view(), name="api-tile-of"),
    path("log/checkpoint", log.CheckpointView.as_view(), name="api-checkpoint"),
    path("log/consistency", log.ConsistencyView.as_view(), name="api-consistency"),
    path("log/anchors", witness.AnchorsView.as_view(), name="api-anchors"),
    path("witness/add-checkpoint", witness.add_checkpoint, name="api-add-checkpoint"),
    path("log/<path:place>", log.TileView.as_view(), name="api-tile"),
    path("problems/<str:code>", problems.describe, name="api-problem"),
    path("schema/", schema.SchemaView.as_view(), name="api-schema"),
    path("docs/", schema.DocsView.as_view(), name="api-docs"),
    # Last: Django's own 404 page is HTML, and its slash redirect would lose the body of a POST.
    re_path(r"^(?P<path>.*)$", problems.unknown_address),
]
