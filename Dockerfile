# The task image: the runtime and the jobs that ship with it. A job in another language takes another image
# and claims through an init container of this one (python -m tasks claim).
#
#   docker build -t nightlatch .
#   docker run --rm -v "$PWD/articles:/data" nightlatch sitemap-refresh --database sqlite:////data/articles.sqlite

FROM python:3.13-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
ENV UV_PROJECT_ENVIRONMENT=/app \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /build
# Dependencies first, exactly as locked: this layer changes only when the lock file does.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-default-groups --extra jobs --no-install-project
COPY lock ./lock
COPY statemachine ./statemachine
COPY tasks ./tasks
COPY nightlatch ./nightlatch
RUN uv sync --frozen --no-default-groups --extra jobs --no-editable

FROM python:3.13-slim
RUN groupadd --system --gid 10001 nightlatch \
    && useradd --system --uid 10001 --gid nightlatch --no-create-home --shell /usr/sbin/nologin nightlatch
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1
# Everything a job writes goes into temporary directories, and from there to S3.
WORKDIR /tmp
USER 10001:10001
# Exec form: SIGTERM goes to the runtime itself and not to a shell.
ENTRYPOINT ["python", "-m", "tasks", "run"]
