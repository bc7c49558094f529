# Two images. The operator: docker build -t model-booster .
# The downloader: docker build -t model-booster-downloader --target downloader .
# A release names the base by its digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm

# strip makes libraries smaller; it does not get into the images.
FROM ${BASE} AS tools
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
WORKDIR /src
COPY tools/image tools/image

# What is pinned changes less often than our code, so it is a layer of its own.
FROM tools AS build
COPY requirements.txt ./
RUN tools/image/environment.sh operator python /opt/model-booster packages
COPY requirements-dev.txt pyproject.toml setup.py README.md LICENSE ./
COPY app app
COPY certs certs
COPY controller controller
COPY modelbooster modelbooster
COPY webhook webhook
RUN tools/image/environment.sh operator python /opt/model-booster code

FROM tools AS downloader-build
COPY requirements-downloader.txt ./
RUN tools/image/environment.sh downloader python /opt/downloader packages
COPY downloader downloader
RUN tools/image/environment.sh downloader python /opt/downloader code

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
