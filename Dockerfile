# Two images. The operator: docker build -t model-booster .
# The downloader: docker build -t model-booster-downloader --target downloader .
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
 && rm /opt/model-booster/bin/model-booster-downloader \
 && python -m compileall -q /opt/model-booster/lib

FROM ${BASE} AS downloader-build
WORKDIR /src
RUN python -m venv /opt/downloader
ENV PATH=/opt/downloader/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements-downloader.txt ./
RUN pip install --require-hashes --no-deps -r requirements-downloader.txt && pip check
COPY downloader downloader
# It has no code of the operator, and needs none of its packages.
RUN cp -r downloader "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && printf '#!/opt/downloader/bin/python\nfrom downloader.main import main\nmain()\n' \
    > /opt/downloader/bin/model-booster-downloader \
 && chmod 755 /opt/downloader/bin/model-booster-downloader \
 && pip uninstall --yes pip setuptools \
 && python -m compileall -q /opt/downloader/lib

FROM ${BASE} AS downloader
LABEL org.opencontainers.image.title="model-booster-downloader" \
      org.opencontainers.image.description="Brings a language model to a volume: whole, once, and verified" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=downloader-build /opt/downloader /opt/downloader
COPY LICENSE /usr/share/licenses/model-booster/LICENSE
# The root may be read-only; only the volume of the model is written. HOME is where clients look for
# credentials that are mounted.
ENV PATH=/opt/downloader/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
ENTRYPOINT ["model-booster-downloader"]

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
