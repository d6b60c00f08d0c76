from django.urls import include, path
from rest_framework.generics import ListCreateAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import ModelSerializer

from bench.floor.models import BareLead


class BareSerializer(ModelSerializer):
    class Meta:
        model = BareLead
        fields = "__all__"


class BarePagination(CursorPagination):
    page_size = 50
    ordering = ("-created_at", "-id")


class BareView(ListCreateAPIView):
    queryset = BareLead.objects.all()
    serializer_class = BareSerializer
    pagination_class = BarePagination
    renderer_classes = [JSONRenderer]
    authentication_classes: list[type] = []
    permission_classes: list[type] = []


urlpatterns = [path("bench/leads", BareView.as_view()), path("", include("crm.urls"))]
