# The gateway (the last stage, so the default), and with --target demo the same with the example services.
#   docker build -t api-gateway .
#   docker run -p 8080:8080 -v ./gateway.yaml:/etc/gateway/gateway.yaml:ro api-gateway
# docs/deploy.md has the rest.

FROM python:3.11-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# What changes seldom comes first: its layers stay.
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt
# The environment that is shipped has no pip: nothing in it can install anything.
RUN python -m venv --without-pip /opt/gateway \
    && /opt/build/bin/python -m pip --python /opt/gateway/bin/python install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY src src
# With a compiler the request path is compiled, which halves its cost; without one the same files are interpreted.
RUN API_GATEWAY_COMPILE=$(command -v cc >/dev/null && echo 1 || echo 0) \
    /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && /opt/build/bin/python -m pip --python /opt/gateway/bin/python install --no-deps --no-index --no-cache-dir /dist/*.whl

FROM build AS build-demo
COPY requirements/demo.txt requirements/
RUN /opt/build/bin/python -m pip --python /opt/gateway/bin/python install --no-cache-dir --no-deps --require-hashes -r requirements/demo.txt

FROM python:3.11-slim AS base
RUN groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin gateway
ENV PATH=/opt/gateway/bin:$PATH \
    GATEWAY_CONFIG_PATH=/etc/gateway/gateway.yaml \
    GATEWAY_HEALTH_URL=http://127.0.0.1:8080/health/live
WORKDIR /
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001

FROM base AS demo
COPY --from=build-demo /opt/gateway /opt/gateway
CMD ["python", "-m", "api_gateway.demo.server", "--host", "0.0.0.0", "--user-port", "50051", "--auth-port", "50052"]

FROM base AS gateway
COPY --from=build /opt/gateway /opt/gateway
EXPOSE 8080
STOPSIGNAL SIGTERM
# Liveness, not readiness: a container must not be restarted because a backend is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['GATEWAY_HEALTH_URL'], timeout=2)"]
ENTRYPOINT ["api-gateway"]
CMD ["run", "--host", "0.0.0.0"]
