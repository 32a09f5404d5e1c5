"""The engines that the settings choose, for chat and for search."""

from collections.abc import Mapping
from typing import Final

from tasks.providers.chat import Chat, Dialect, SettingsError
from tasks.providers.search import Search

CHAT_ENGINES: Final = ("offline", "openai", "bedrock")
SEARCH_ENGINES: Final = ("corpus", "searxng")


def chat_from(settings: Mapping[str, str]) -> Chat:
    """The engine that the settings (environment variables, usually) choose.

    - ``LLM_ENGINE``: ``offline`` (the default: extracts, needs no network), ``openai`` or ``bedrock``
    - ``LLM_MODEL``: the model's name, or for Bedrock the id or ARN of a model or inference profile
    - ``LLM_BASE_URL``: of an OpenAI-compatible endpoint, up to and with ``/v1``; for Bedrock an endpoint
      other than the region's
    - ``LLM_API_KEY``: sent as a bearer token by ``openai``; Bedrock takes AWS credentials
      and ``AWS_REGION``
    - ``LLM_TEMPERATURE``: ``default`` for a model that accepts no temperature: none is sent then
    - ``LLM_JSON_SCHEMA``: ``off`` for a model that knows no structured output: the schema is not sent then

    Call it inside a running event loop.

    Raises:
        SettingsError: if they do not make an engine.
    """
    engine = settings.get("LLM_ENGINE", "").strip().lower() or "offline"
    if engine not in CHAT_ENGINES:
        raise SettingsError(f"LLM_ENGINE={engine!r} is none of {', '.join(CHAT_ENGINES)}")
    if engine == "offline":
        from tasks.providers.offline_chat import OfflineChat  # noqa: PLC0415  (only the engine in use)

        return OfflineChat()
    model = settings.get("LLM_MODEL", "").strip()
    base_url = settings.get("LLM_BASE_URL", "").strip()
    if not model:
        raise SettingsError(f"LLM_ENGINE={engine} needs LLM_MODEL, the name of the model to ask")
    if base_url and not base_url.startswith(("http://", "https://")):
        raise SettingsError(f"LLM_BASE_URL={base_url!r} must begin with https:// (or http://)")
    dialect = Dialect(
        structured=settings.get("LLM_JSON_SCHEMA", "").strip().lower() != "off",
        temperature=settings.get("LLM_TEMPERATURE", "").strip().lower() != "default",
    )
    if engine == "bedrock":
        from tasks.providers.bedrock_chat import BedrockChat  # noqa: PLC0415  (only the engine in use)

        # ECS sets AWS_REGION, and boto3 reads AWS_DEFAULT_REGION alone.
        region = settings.get("AWS_REGION") or None
        return BedrockChat(model, base_url or None, region=region, dialect=dialect)
    from tasks.providers.openai_chat import OPENAI, OpenAiChat  # noqa: PLC0415  (only the engine in use)

    return OpenAiChat(model, base_url or OPENAI, settings.get("LLM_API_KEY", ""), dialect=dialect)


def search_from(settings: Mapping[str, str]) -> Search:
    """The engine that the settings (environment variables, usually) choose.

    - ``SEARCH_ENGINE``: ``corpus`` (the default: full text of files, needs no network) or ``searxng``
    - ``SEARCH_CORPUS``: the folder of text, Markdown and HTML files, or ``s3://bucket/prefix/``
    - ``SEARCH_URL``: of a SearXNG instance that allows ``format=json``
    - ``SEARCH_API_KEY``: sent to it as a bearer token, if there is one

    Call it inside a running event loop.

    Raises:
        SettingsError: if they do not make an engine.
    """
    engine = settings.get("SEARCH_ENGINE", "").strip().lower() or "corpus"
    if engine == "corpus":
        from tasks.providers.corpus_search import CorpusSearch  # noqa: PLC0415  (only the engine in use)

        corpus = settings.get("SEARCH_CORPUS", "").strip()
        if not corpus:
            raise SettingsError("SEARCH_ENGINE=corpus needs SEARCH_CORPUS, the folder of texts to search")
        return CorpusSearch(corpus)
    if engine == "searxng":
        from tasks.providers.web_search import SearxngSearch  # noqa: PLC0415  (only the engine in use)

        url = settings.get("SEARCH_URL", "").strip()
        if not url.startswith(("http://", "https://")):
            raise SettingsError(f"SEARCH_ENGINE=searxng needs SEARCH_URL, and {url!r} is no address")
        return SearxngSearch(url, settings.get("SEARCH_API_KEY", ""))
    raise SettingsError(f"SEARCH_ENGINE={engine!r} is none of {', '.join(SEARCH_ENGINES)}")
