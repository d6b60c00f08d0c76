"""Addresses for operators."""

from django.urls import path

from crm.observability.health import live, ready
from crm.observability.metrics import metrics

urlpatterns = [
    path("health/live", live, name="health-live"),
    path("health/ready", ready, name="health-ready"),
    path("metrics", metrics, name="metrics"),
]
