"""Rows look as the framework would show them."""

from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework import serializers

from exchange.api import representation, shapes
from exchange.models import Delivery, Package
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def package(hub: World) -> Package:
    package_id = hub.send("H29", "H29.5", "H29.17").package.pk
    return Package.objects.get(pk=package_id)


@pytest.mark.parametrize(
    "shape",
    [
        shapes.PackageSerializer,
        shapes.PackageWithDeliveriesSerializer,
        shapes.DescribedPackageSerializer,
        shapes.AboutSerializer,
        shapes.RelatedSerializer,
    ],
)
def test_a_package(package: Package, shape: Any) -> None:
    assert representation.one(shape, package) == shape(package).data


@pytest.mark.parametrize(
    "shape",
    [
        shapes.PackageDeliverySerializer,
        shapes.DeadlineDeliverySerializer,
        shapes.InboxItemSerializer,
        shapes.DeliverySerializer,
    ],
)
def test_deliveries(package: Package, shape: Any) -> None:
    rows = Delivery.objects.order_by("id")
    assert len(rows) == 2
    assert representation.many(shape, rows) == shape(rows, many=True).data


def test_an_agency(hub: World) -> None:
    for agency in hub.agencies.values():
        found = representation.one(shapes.AgencySerializer, agency)
        assert found == shapes.AgencySerializer(agency).data


class Part(serializers.Serializer[Any]):
    number = serializers.IntegerField()


class Whole(serializers.Serializer[Any]):
    missing = serializers.CharField(required=False)
    ends = serializers.CharField(source="part.name.first", allow_null=True)
    absent = serializers.CharField(source="part.absent", default="none")
    part = Part(allow_null=True)
    parts = Part(many=True)


@pytest.mark.parametrize(
    "row",
    [
        SimpleNamespace(part=SimpleNamespace(number=1, name=None), parts=[SimpleNamespace(number=2)]),
        SimpleNamespace(part=None, parts=[]),
        {"part": {"number": 1, "name": None}, "parts": []},
    ],
)
def test_what_is_missing_or_ends_on_the_way(row: Any) -> None:
    assert representation.one(Whole, row) == Whole(row).data
