# The program as an image: docker build -t model-booster .
# A release names the base by its digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python -m venv /opt/model-booster
ENV PATH=/opt/model-booster/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# What is pinned changes less often than our code, so it is a layer of its own.
COPY requirements.txt requirements-dev.txt ./
RUN pip install --require-hashes --no-deps -r requirements.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY app app
COPY certs certs
COPY controller controller
COPY modelbooster modelbooster
COPY webhook webhook
# The tool that installs it comes in the version, and with the hash, that the tests use.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > tool.txt \
 && pip install --require-hashes --no-deps -r tool.txt \
 && pip install --no-deps --no-build-isolation . \
 && pip check \
 && pip uninstall --yes pip setuptools \
 && python -m compileall -q /opt/model-booster/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="model-booster" \
      org.opencontainers.image.description="Serves language models on Kubernetes from one object each, the ModelBooster of kthena" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/model-booster /opt/model-booster
COPY LICENSE /usr/share/licenses/model-booster/LICENSE
# The root may be read-only; only /tmp is ever written.
ENV PATH=/opt/model-booster/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 9443
ENTRYPOINT ["model-booster"]
CMD ["run"]
