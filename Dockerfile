# The project with PyTorch for CPUs; docs/install.md says how it is built and run.
FROM python:3.12-slim

ARG TORCH=cpu
ARG EXTRAS=""

# OpenMP, for LightGBM.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home user

WORKDIR /project
COPY --chown=user . .
RUN pip install --no-cache-dir uv==0.13.9 \
    && uv pip install --system --no-cache --torch-backend="$TORCH" -c constraints.txt -e ".$EXTRAS" \
    && mkdir data \
    && chown user . data

USER 1000
ENV KEDRO_DISABLE_TELEMETRY=1
ENTRYPOINT ["kedro"]
CMD ["run"]
