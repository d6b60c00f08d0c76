from django.contrib.postgres.fields import ArrayField
from django.db import models


class BareLead(models.Model):  # noqa: DJ008 -- never shown
    """The columns a lead list answers, in a table of their own with the one index its list needs."""

    entity_id = models.BigIntegerField(default=0)
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    company = models.CharField(max_length=200, blank=True)
    email = models.CharField(max_length=254, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    title = models.CharField(max_length=150, blank=True)
    industry = models.CharField(max_length=100, blank=True)
    company_size = models.CharField(max_length=30, blank=True)
    status = models.CharField(max_length=40, default="new")
    lost_reason = models.CharField(max_length=100, blank=True)
    priority = models.PositiveSmallIntegerField(default=2)
    lead_source = models.CharField(max_length=60, blank=True)
    platform_key = models.CharField(max_length=12, default="api")
    score = models.PositiveSmallIntegerField(default=0)
    quality_grade = models.CharField(max_length=1, default="D")
    lifecycle_stage = models.CharField(max_length=40, blank=True)
    conversion_probability = models.FloatField(null=True)
    tags = ArrayField(models.CharField(max_length=50), default=list)
    owner_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_contact_at = models.DateTimeField(null=True)
    next_follow_up_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "bench_barelead"
