"""The choice of a batch service, by the same settings as the choice of a model."""

from collections.abc import Mapping

from tasks.jobs.documents.batch_service import BatchService
from tasks.providers.chat import SettingsError


def service_from(settings: Mapping[str, str], folder: str) -> BatchService:
    """The service of ``LLM_ENGINE`` (openai or bedrock). Bedrock works as the role ``LLM_BATCH_ROLE``.

    `folder` is where Bedrock's files go. Call it inside a running event loop.

    Raises:
        SettingsError: if the engine has none.
    """
    engine = settings.get("LLM_ENGINE", "").strip().lower()
    model, url = settings.get("LLM_MODEL", "").strip(), settings.get("LLM_BASE_URL", "").strip()
    if engine == "openai" and model:
        from tasks.jobs.documents.openai_batches import OpenAiBatches  # noqa: PLC0415  (only the one in use)
        from tasks.providers.openai_chat import OPENAI  # noqa: PLC0415  (the same)

        return OpenAiBatches(model, url or OPENAI, settings.get("LLM_API_KEY", ""))
    if engine == "bedrock" and model:
        from tasks.jobs.documents.bedrock_batches import BedrockBatches  # noqa: PLC0415  (only the one in use)

        return BedrockBatches(model, settings.get("LLM_BATCH_ROLE", ""), folder, url or None)
    raise SettingsError("batches need LLM_ENGINE openai or bedrock, and LLM_MODEL")
