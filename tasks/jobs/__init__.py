"""The jobs of this image, by the name that jobs.yaml and the command line use.

A job is a module with a ``main`` that is run as a program of its own. It keeps the contract
(`tasks.contract`) and imports nothing of the runtime, so any of them could live in another image.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

JOBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "documents-collect": "tasks.jobs.documents.documents_collect",
        "documents-plan": "tasks.jobs.documents.documents_plan",
        "documents-work": "tasks.jobs.documents.documents_work",
        "handson-collect": "tasks.jobs.generation.handson.handson_collect",
        "handson-generate": "tasks.jobs.generation.handson.handson_generate",
        "handson-plan": "tasks.jobs.generation.handson.handson_plan",
        "load-articles": "tasks.jobs.articles.load_articles",
        "missing-images": "tasks.jobs.articles.missing_images",
        "missing-images-collect": "tasks.jobs.articles.missing_images_collect",
        "missing-images-plan": "tasks.jobs.articles.missing_images_plan",
        "schedule-generate": "tasks.jobs.generation.schedule.schedule_generate",
        "sitemap-refresh": "tasks.jobs.articles.sitemap_refresh",
        "xml-articles": "tasks.jobs.articles.xml_articles",
    }
)
