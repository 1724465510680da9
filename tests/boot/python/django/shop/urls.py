import os

from django.http import JsonResponse
from django.urls import path

from shop.models import Item


def health(request):
    return JsonResponse("ok", safe=False)


def items(request):
    return JsonResponse(list(Item.objects.order_by("name").values_list("name", flat=True)), safe=False)


def release(request):
    return JsonResponse(os.path.realpath("."), safe=False)


urlpatterns = [path("health", health), path("items", items), path("release", release)]
